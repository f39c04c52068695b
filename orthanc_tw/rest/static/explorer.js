"use strict";
const PAGE = 50;
let since = 0;
const element = (id) => document.getElementById(id);

async function call(path, options) {
  const response = await fetch("../" + path, options);
  const text = await response.text();
  let body = null;
  try { body = text ? JSON.parse(text) : null; } catch (error) { body = text; }
  if (!response.ok) {
    const reason = body && (body.Details || body.Message);
    throw new Error(response.status + " " + (reason || response.statusText));
  }
  return body;
}

function say(text, isError) {
  element("status").textContent = text;
  element("status").className = isError ? "error" : "";
}

function row(cells, actions) {
  const line = document.createElement("tr");
  for (const cell of cells) line.insertCell().textContent = cell;
  const last = line.insertCell();
  last.className = "actions";
  for (const action of actions) last.append(action, " ");
  return line;
}

function button(label, act) {
  const made = document.createElement("button");
  made.textContent = label;
  made.addEventListener("click", async () => {
    try { await act(); await refresh(); } catch (error) { say(error.message, true); }
  });
  return made;
}

function link(label, href) {
  const made = document.createElement("a");
  made.textContent = label;
  made.href = "../" + href;
  return made;
}

async function showStudies() {
  const name = element("patient").value.trim();
  const found = await call("tools/find", {
    method: "POST",
    body: JSON.stringify({ Level: "Study", Expand: true, Since: since, Limit: PAGE + 1,
                           Query: name ? { PatientName: name } : {} }),
  });
  element("previous").disabled = since === 0;
  element("next").disabled = found.length <= PAGE;
  element("studies").replaceChildren(...found.slice(0, PAGE).map((study) => row(
    [study.PatientMainDicomTags.PatientName || study.PatientMainDicomTags.PatientID || "",
     study.MainDicomTags.StudyDate || "", study.MainDicomTags.StudyDescription || "",
     study.Series.length],
    [link("Archive", "studies/" + study.ID + "/archive"), link("JSON", "studies/" + study.ID),
     button("Delete", async () => {
       if (confirm("Delete this study?")) await call("studies/" + study.ID, { method: "DELETE" });
     })])));
}

async function showJobs() {
  const jobs = await call("jobs?expand");
  element("jobs").replaceChildren(...jobs.reverse().slice(0, PAGE).map((job) => row(
    [job.Type, job.State, job.Progress + " %", job.CreationTime],
    ["Pending", "Running", "Paused", "Retry"].includes(job.State)
      ? [button("Cancel", () => call("jobs/" + job.ID + "/cancel", { method: "POST", body: "" }))]
      : [])));
}

async function refresh() {
  const totals = await call("statistics");
  element("totals").textContent = totals.CountPatients + " patients, " + totals.CountStudies +
    " studies, " + totals.CountInstances + " instances, " + totals.TotalDiskSizeMB + " MB";
  await showStudies();
  await showJobs();
}

element("upload").addEventListener("submit", async (event) => {
  event.preventDefault();
  let done = 0;
  let failed = 0;
  const files = element("files").files;
  for (const file of files) {
    try { await call("instances", { method: "POST", body: file }); done += 1; }
    catch (error) { failed += 1; }
    say(done + " of " + files.length + " uploaded" + (failed ? ", " + failed + " refused" : ""), failed > 0);
  }
  event.target.reset();
  await refresh();
});
element("search").addEventListener("submit", (event) => {
  event.preventDefault();
  since = 0;
  refresh().catch((error) => say(error.message, true));
});
element("previous").addEventListener("click", () => { since = Math.max(0, since - PAGE); refresh(); });
element("next").addEventListener("click", () => { since += PAGE; refresh(); });

(async () => {
  try {
    const system = await call("system");
    element("name").textContent = system.Name + " (orthanc-tw)";
    document.title = system.Name;
    await refresh();
    setInterval(() => showJobs().catch(() => {}), 5000);
  } catch (error) { say(error.message, true); }
})();
