"""Tests of `orthanc_tw.net.query`."""
