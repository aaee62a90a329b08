// The live depot page: one picture, kept current by merge patches, written into the page as text only.
import { applyPatch } from "./merge.js";
import { connect } from "./link.js";
import { renderLists, renderObject, tickTimes } from "./bind.js";
import { createPowerChart } from "./power-chart.js";
import { createHeatmap } from "./heatmap.js";

const boot = JSON.parse(document.getElementById("boot").textContent);
let picture = boot.picture;
let skew = boot.at - Date.now() / 1000; // server minus browser clock, s
const now = () => Date.now() / 1000 + skew;

const chart = createPowerChart(document.getElementById("chart"), boot, now);
const heatmap = createHeatmap(document.getElementById("heat"), boot);
let node = document.querySelector(".node[aria-pressed=true]")?.dataset.key ?? "";

function render(patch) {
  if (!patch || patch.kpi) renderObject(document.querySelector("[data-object=kpi]"), picture.kpi);
  renderLists(document, picture, patch);
  markNode();
  tickTimes(document, now(), boot.zone);
  if (!patch || patch.chart) chart.draw(picture.chart, node);
  if (!patch || "heat" in patch) heatmap.draw(picture.heat);
}

function markNode() {
  for (const button of document.querySelectorAll(".node")) {
    button.setAttribute("aria-pressed", String(button.dataset.key === node));
  }
}

document.querySelector(".nodes").addEventListener("click", (event) => {
  const button = event.target.closest(".node");
  if (!button) return;
  node = button.dataset.key;
  markNode();
  chart.draw(picture.chart, node);
});

document.querySelector(".ranges").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  for (const other of event.currentTarget.children) other.setAttribute("aria-pressed", String(other === button));
  chart.look(Number(button.dataset.ahead));
});

document.getElementById("incidents").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: new FormData(form),
      headers: { Accept: "application/json" },
    });
    if (!answer.ok) throw new Error(String(answer.status));
    form.hidden = true;
  } catch {
    form.submit();
  } finally {
    button.disabled = false;
  }
});

const linkBadge = document.getElementById("link");
const linkText = document.getElementById("link-text");
let lastNews = boot.at;

function showLink(state) {
  linkBadge.dataset.state = state;
  linkText.textContent = {
    live: "Live",
    reconnecting: "Reconnecting",
    polling: "Polling every 5 s",
    lost: "No connection",
    "signed-out": "Signed out: reload to sign in",
  }[state];
}

connect({
  socket: boot.socket,
  poll: boot.poll,
  onState: showLink,
  onAlive: heard,
  onPicture(message) {
    picture = message.picture;
    heard(message);
    render(null);
  },
  onPatch(message) {
    picture = applyPatch(picture, message.patch);
    heard(message);
    render(message.patch);
  },
});

function heard(message) {
  lastNews = message.at;
  skew = message.at - Date.now() / 1000;
}

const clockFace = new Intl.DateTimeFormat("en-GB", {
  timeZone: boot.zone, weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
});
setInterval(() => {
  document.getElementById("clock").textContent = clockFace.format(new Date(now() * 1000)).replace(",", "");
  tickTimes(document, now(), boot.zone);
  document.getElementById("live").classList.toggle("old", now() - lastNews > 90);
}, 1000);

render(null);
