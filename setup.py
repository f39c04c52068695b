"""Metadata and entry points of orthanc-tw."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "([^"]+)"', (HERE / "orthanc_tw/__init__.py").read_text(), re.MULTILINE
)
README = HERE / "README.rst"

TEST = [
    "coverage>=7.4,<8",
    "hypothesis>=6.100,<7",
    "import-linter>=2.0,<3",
    "mypy>=1.11,<3",
    "mypy-zope>=1.0.5,<2",
    "openapi-spec-validator>=0.7,<1",
    "orthanc-api-client>=0.18,<1",
    "pynetdicom>=3.0,<4",
    "pyorthanc>=1.19,<2",
    "requests>=2.31,<3",
    "ruff>=0.6,<1",
    "schemathesis>=4.30,<5; python_version >= '3.11'",
    "types-requests",
    "wheel",
]

setup(
    name="orthanc-tw",
    version=VERSION[1] if VERSION else "0",
    description="An Orthanc-compatible DICOM server on Twisted, with a durable jobs engine",
    long_description=README.read_text() if README.exists() else "",
    long_description_content_type="text/x-rst",
    license="MIT",
    python_requires=">=3.10",
    packages=[*find_packages(include=["orthanc_tw", "orthanc_tw.*"]), "twisted.plugins"],
    package_data={
        "orthanc_tw": ["py.typed", "index/schema/*.sql", "rest/static/*", "dicom/data/*"]
    },
    install_requires=[
        "automat>=25.4,<26",
        "deflate>=0.8,<1",
        "isal>=1.7,<2",
        "klein>=24.8,<25",
        "msgspec>=0.19,<1",
        "multipart>=1.2,<3",
        "numpy>=1.24,<3",
        "pillow>=10.3,<14",
        "prometheus-client>=0.20,<1",
        "pydicom>=3.0.1,<4",
        "pyjpegls>=1.5,<2",
        "pylibjpeg>=2.0,<3",
        "pylibjpeg-openjpeg>=2.3,<3",
        "python-gdcm>=3.0.24,<4",
        "treq>=24.9,<27",
        "twisted[tls]>=24.11,<27",
        "zlib-ng>=0.5,<2",
    ],
    extras_require={
        "test": TEST,
        "docs": ["sphinx>=7,<10", "towncrier>=23.11,<26"],
    },
    classifiers=[
        "Framework :: Twisted",
        "Intended Audience :: Healthcare Industry",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
    zip_safe=False,
)
