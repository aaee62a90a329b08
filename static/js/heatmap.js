// Planned power per vehicle as rows of SVG rectangles; one unit of width is a second, as steps differ in length.

const SVG = "http://www.w3.org/2000/svg";
const LEVELS = 6;
const DAY_S = 86400;

export function createHeatmap(holder, boot) {
  const rowsBody = document.getElementById("heat-rows");
  const axis = document.getElementById("heat-axis");
  const empty = document.getElementById("heat-empty");
  const tip = document.getElementById("heat-tip");
  const hour = new Intl.DateTimeFormat("en-GB", { timeZone: boot.zone, hour: "2-digit", minute: "2-digit" });
  const dayHour = new Intl.DateTimeFormat("en-GB", { timeZone: boot.zone, weekday: "short", hour: "2-digit", minute: "2-digit" });
  let heat = null;
  let order = [];
  let picked = null; // [row, step]
  let pickedAt; // where the pointer is, if it picked

  function draw(data) {
    heat = data ?? null;
    order = heat ? Object.entries(heat.rows).sort(([, a], [, b]) => a.order - b.order) : [];
    empty.hidden = order.length > 0;
    document.getElementById("heat-top").textContent = heat ? String(heat.top_kw) : "–";
    drawAxis();
    const present = new Map([...rowsBody.children].map((el) => [el.dataset.key, el]));
    for (const [key, row] of order) {
      const el = present.get(key) ?? document.getElementById("heat-template").content.firstElementChild.cloneNode(true);
      present.delete(key);
      el.dataset.key = key;
      el.dataset.tone = row.short ? "risk" : "";
      el.querySelector("[data-f=name]").textContent = row.name;
      el.querySelector("[data-f=bay]").textContent = row.bay ?? "";
      drawRow(el.querySelector("svg"), row);
      rowsBody.append(el);
    }
    for (const el of present.values()) el.remove();
    if (picked) pick(order.length > picked[0] ? picked : null, pickedAt);
  }

  function drawRow(svg, row) {
    svg.setAttribute("viewBox", `0 0 ${Math.max(1, span())} 10`);
    const [begin, end] = [row.from, row.to].map((at) => clamp(at - heat.borders[0], span() + 1));
    const cells = end > begin ? [rect("stay", begin, end - begin)] : [];
    let step = 0;
    for (const [count, kw] of row.runs) {
      if (kw > 0) cells.push(cell(`q${level(kw)}`, step, count));
      step += count;
    }
    svg.replaceChildren(...cells);
  }

  const span = () => heat.borders.at(-1) - heat.borders[0];

  function cell(name, step, count) {
    const { borders } = heat;
    return rect(name, borders[step] - borders[0], borders[step + count] - borders[step]);
  }

  function stepAt(share) {
    const at = heat.borders[0] + share * span();
    return clamp(heat.borders.findLastIndex((border) => border <= at), heat.borders.length - 1);
  }

  const level = (kw) => Math.max(1, Math.min(LEVELS, Math.ceil((kw * LEVELS) / heat.top_kw)));

  function drawAxis() {
    if (!heat) return axis.replaceChildren();
    const { borders } = heat;
    const days = Math.max(1, Math.round(span() / DAY_S));
    const wide = (axis.clientWidth > 500 ? 2 : 6) * days;
    const labels = [];
    for (const border of borders) {
      const text = hour.format(border * 1000);
      const place = (border - borders[0]) / span();
      if (!text.endsWith(":00") || Number(text.slice(0, 2)) % wide || place < 0.02 || place > 0.98) continue;
      const label = document.createElement("span");
      label.textContent = text;
      label.style.left = `${100 * place}%`;
      labels.push(label);
    }
    axis.replaceChildren(...labels);
  }

  function describe(rowIndex, step) {
    const [, row] = order[rowIndex];
    let x = 0;
    for (const [count, kw, reason] of row.runs) {
      x += count;
      if (step < x) {
        const words = (kw > 0 ? null : boot.words_to_wait[reason]) ?? boot.words[reason] ?? String(reason).replaceAll("_", " ");
        const from = dayHour.format(heat.borders[step] * 1000);
        const to = hour.format(heat.borders[step + 1] * 1000);
        return `${row.name}${row.bay ? `, ${row.bay}` : ""}\n${from} to ${to}\n${kw.toFixed(1)} kW: ${words}`;
      }
    }
    return row.name;
  }

  function pick(next, place) {
    rowsBody.querySelectorAll(".picked").forEach((el) => el.remove());
    rowsBody.querySelectorAll(".picked-row").forEach((el) => el.classList.remove("picked-row"));
    picked = next;
    pickedAt = place;
    tip.hidden = !next;
    if (!next) return;
    const [rowIndex, step] = next;
    const tr = rowsBody.children[rowIndex];
    const svg = tr.querySelector("svg");
    tr.classList.add("picked-row");
    svg.append(cell("picked", step, 1));
    tip.textContent = describe(rowIndex, step);
    const box = svg.getBoundingClientRect();
    const middle = ((heat.borders[step] + heat.borders[step + 1]) / 2 - heat.borders[0]) / span();
    const at = place ?? { x: box.left + box.width * middle, y: box.bottom };
    const { offsetWidth: width, offsetHeight: height } = tip;
    const below = at.y + 16 + height < innerHeight;
    tip.style.left = `${Math.max(6, Math.min(at.x + 12, document.documentElement.clientWidth - width - 6))}px`;
    tip.style.top = `${below ? at.y + 14 : at.y - height - 12}px`;
  }

  holder.addEventListener("pointermove", (event) => {
    const svg = event.target.closest?.("#heat-rows svg");
    if (!svg || !heat) return pick(null);
    const box = svg.getBoundingClientRect();
    const step = stepAt((event.clientX - box.left) / box.width);
    pick([[...rowsBody.children].indexOf(svg.closest("tr")), step], { x: event.clientX, y: event.clientY });
  });
  holder.addEventListener("pointerleave", () => pick(null));
  holder.addEventListener("blur", () => pick(null));
  holder.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (event.key === "Escape") return pick(null);
    if (!move || !order.length) return;
    event.preventDefault();
    const [row, step] = picked ?? [0, -move[1]];
    const steps = heat.borders.length - 1;
    pick([clamp(row + move[0], order.length), clamp(step + move[1], steps)]);
  });
  addEventListener("resize", drawAxis);
  return { draw };
}

const clamp = (value, count) => Math.max(0, Math.min(count - 1, value));

function rect(name, x, width) {
  const el = document.createElementNS(SVG, "rect");
  el.setAttribute("class", name);
  el.setAttribute("x", String(x));
  el.setAttribute("width", String(width));
  el.setAttribute("y", "0");
  el.setAttribute("height", "10");
  return el;
}
