// Writes values into the page by data attributes: keyed rows, text content, bar widths. Never markup.

// data-f: text; data-w / data-x: width or x of a bar; data-show / data-hide: present or absent; data-href, data-action: addresses
const setters = {
  f: (el, value) => setText(el, value ?? ""),
  w: (el, value) => setAttr(el, "width", String(value ?? 0)),
  x: (el, value) => setAttr(el, "x", String(value ?? -9)),
  show: (el, value) => { el.hidden = value === undefined; },
  hide: (el, value) => { el.hidden = value !== undefined; },
  href: (el, value) => setAttr(el, "href", localPath(value)),
  action: (el, value) => setAttr(el, "action", localPath(value)),
  toneOf: (el, value) => setData(el, "tone", value ?? ""),
  ago: (el, value) => setAttr(el, "datetime", value ?? ""),
  until: (el, value) => setAttr(el, "datetime", value ?? ""),
  seen: (el, value) => setAttr(el, "datetime", value ?? ""),
  read: (el, value) => setAttr(el, "datetime", value ?? ""),
  next: (el, value) => setAttr(el, "datetime", value ?? ""),
};
const selector = Object.keys(setters).map((name) => `[data-${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}]`).join(",");

export function renderObject(root, object) {
  for (const el of [root, ...root.querySelectorAll(selector)]) {
    for (const [name, set] of Object.entries(setters)) {
      const key = el.dataset[name];
      if (key !== undefined) set(el, object[key]);
    }
  }
}

// With a patch only the lists and rows that it names are written.
export function renderLists(page, picture, patch) {
  for (const list of page.querySelectorAll("[data-list]")) {
    const changed = patch ? patch[list.dataset.list] : picture[list.dataset.list] ?? {};
    if (changed === undefined) continue;
    const rows = picture[list.dataset.list] ?? {};
    const group = list.dataset.group;
    const wanted = Object.entries(rows)
      .filter(([, row]) => group === undefined || row.group === group)
      .sort(([, a], [, b]) => a.order - b.order);
    renderRows(list, wanted, changed ?? {});
    const empty = list.dataset.empty && page.getElementById(list.dataset.empty);
    if (empty) empty.hidden = wanted.length > 0;
  }
  for (const panel of page.querySelectorAll("[data-hide-empty]")) {
    panel.hidden = Object.keys(picture[panel.dataset.hideEmpty] ?? {}).length === 0;
  }
}

function renderRows(list, wanted, changed) {
  const present = new Map([...list.children].map((el) => [el.dataset.key, el]));
  let place = list.firstElementChild;
  for (const [key, row] of wanted) {
    let el = present.get(key);
    present.delete(key);
    if (!el) {
      el = document.getElementById(list.dataset.template).content.firstElementChild.cloneNode(true);
      el.dataset.key = key;
    }
    if (key in changed || el.parentNode !== list) {
      setData(el, "tone", row.tone ?? "");
      renderObject(el, row);
    }
    if (el === place) place = place.nextElementSibling;
    else list.insertBefore(el, place);
  }
  for (const el of present.values()) el.remove();
}

export function tickTimes(page, now) {
  for (const el of page.querySelectorAll("time[datetime]")) {
    const instant = Date.parse(el.getAttribute("datetime")) / 1000;
    const known = !Number.isNaN(instant);
    const age = span(Math.max(0, now - instant));
    if (el.dataset.ago !== undefined) setText(el, known ? `${age} ago` : "");
    else if (el.dataset.until !== undefined) setText(el, known ? until(instant - now) : "");
    else if (el.dataset.seen !== undefined) setText(el, known ? `seen ${age} ago` : "");
    else if (el.dataset.read !== undefined) setText(el, known ? `last reading ${age} ago` : "");
    else if (el.dataset.next !== undefined) setText(el, known && instant - now >= 1 ? `, next in ${span(instant - now)}` : "");
  }
}

const until = (left) => (left >= 0 ? `in ${span(left)}` : `overdue ${span(left)}`);

// The same words as the server's: 40 s, 12 min, 3 h 20 min, 2 d 4 h.
export function span(seconds) {
  const whole = Math.round(Math.abs(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function setText(el, value) {
  const text = String(value);
  if (el.textContent !== text) el.textContent = text;
}

function setAttr(el, name, value) {
  if (el.getAttribute(name) !== value) el.setAttribute(name, value);
}

function setData(el, name, value) {
  if (el.dataset[name] !== value) el.dataset[name] = value;
}

const localPath = (value) => (typeof value === "string" && /^\/(?!\/)/.test(value) ? value : "#");
