// Planned power per vehicle as rows of SVG rectangles; one unit of width is one planning step.

const SVG = "http://www.w3.org/2000/svg";
const LEVELS = 6;

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
    const { borders } = heat;
    const steps = borders.length - 1;
    svg.setAttribute("viewBox", `0 0 ${Math.max(1, steps)} 10`);
    const begin = borders.slice(1).filter((border) => border <= row.from).length;
    const end = borders.slice(1).filter((border) => border <= row.to).length;
    const cells = end > begin ? [rect("stay", begin, end - begin)] : [];
    let x = 0;
    for (const [count, kw] of row.runs) {
      if (kw > 0) cells.push(rect(`q${level(kw)}`, x, count));
      x += count;
    }
    svg.replaceChildren(...cells);
  }

  const level = (kw) => Math.max(1, Math.min(LEVELS, Math.ceil((kw * LEVELS) / heat.top_kw)));

  function drawAxis() {
    if (!heat) return axis.replaceChildren();
    const { borders } = heat;
    const steps = borders.length - 1;
    const wide = axis.clientWidth > 500 ? 2 : 6;
    const labels = [];
    for (let i = 1; i < steps; i += 1) {
      const text = hour.format(borders[i] * 1000);
      if (!text.endsWith(":00") || Number(text.slice(0, 2)) % wide || i < 2 || i > steps - 2) continue;
      const label = document.createElement("span");
      label.textContent = text;
      label.style.left = `${(100 * i) / steps}%`;
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
    svg.append(rect("picked", step, 1));
    tip.textContent = describe(rowIndex, step);
    const box = svg.getBoundingClientRect();
    const steps = heat.borders.length - 1;
    const at = place ?? { x: box.left + (box.width * (step + 0.5)) / steps, y: box.bottom };
    const { offsetWidth: width, offsetHeight: height } = tip;
    const below = at.y + 16 + height < innerHeight;
    tip.style.left = `${Math.max(6, Math.min(at.x + 12, document.documentElement.clientWidth - width - 6))}px`;
    tip.style.top = `${below ? at.y + 14 : at.y - height - 12}px`;
  }

  holder.addEventListener("pointermove", (event) => {
    const svg = event.target.closest?.("#heat-rows svg");
    if (!svg || !heat) return pick(null);
    const box = svg.getBoundingClientRect();
    const steps = heat.borders.length - 1;
    const step = Math.max(0, Math.min(steps - 1, Math.floor(((event.clientX - box.left) / box.width) * steps)));
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
