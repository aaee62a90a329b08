// Measured and planned power against the limit, with the price below, on ECharts.

const PAST_H = 2;
const REST_MS = 2_000; // between two drawings for new measurements

export function createPowerChart(holder, boot, now) {
  const echarts = globalThis.echarts;
  if (!echarts) return { draw() {}, look() {} }; // the server's picture stays
  let chart = null;
  let ahead = 12;
  let last = null;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const hour = new Intl.DateTimeFormat("en-GB", { timeZone: boot.zone, hour: "2-digit", minute: "2-digit" });
  const dayHour = new Intl.DateTimeFormat("en-GB", { timeZone: boot.zone, weekday: "short", hour: "2-digit", minute: "2-digit" });
  const clock = (ms) => hour.format(ms);

  let waiting = null;

  // A new node or range is drawn at once, new measurements every two seconds at most.
  function draw(data, node) {
    const sameNode = last !== null && last[1] === node;
    last = [data, node];
    if (!sameNode || !chart) return drawNow();
    waiting ??= setTimeout(drawNow, REST_MS);
  }

  function drawNow() {
    clearTimeout(waiting);
    waiting = null;
    if (last === null || (document.hidden && chart)) return;
    const [data, node] = last;
    const series = seriesOf(data, node);
    if (!series.measured.length && !series.limit.length) return;
    if (!chart) {
      holder.replaceChildren();
      chart = echarts.init(holder, null, { renderer: "canvas" });
      new ResizeObserver(() => chart.resize()).observe(holder);
    }
    chart.setOption(option(series), { lazyUpdate: true });
  }

  function seriesOf(data, node) {
    const plan = data.plan ?? { borders: [], price: [], nodes: {} };
    const planned = plan.nodes[node] ?? { limit: [], building: [], planned: [] };
    const measured = Object.entries(data.measured?.[node] ?? {}).map(([at, kw]) => [at * 1000, kw]);
    const limitNow = data.now_limit?.[node];
    const start = (now() - PAST_H * 3600) * 1000;
    const limit = stairs(plan.borders, planned.limit);
    const begin = limitNow === undefined ? [] : [[start, limitNow]];
    const end = limit.length || limitNow === undefined ? limit : [[(now() + 24 * 3600) * 1000, limitNow]];
    return {
      measured: withGaps(measured.sort((a, b) => a[0] - b[0])),
      limit: [...begin, ...end],
      building: stairs(plan.borders, planned.building),
      planned: stairs(plan.borders, planned.planned.map((kw, i) => kw + (planned.building[i] ?? 0)), planned.planned),
      price: stairs(plan.borders, plan.price),
    };
  }

  function option(series) {
    const css = getComputedStyle(document.documentElement);
    const color = (name) => css.getPropertyValue(`--${name}`).trim();
    const from = (now() - PAST_H * 3600) * 1000;
    const to = (now() + ahead * 3600) * 1000;
    const hasPrice = series.price.length > 0;
    const label = { color: color("muted"), fontSize: 11, hideOverlap: true };
    const time = {
      type: "time", min: from, max: to, axisTick: { show: false }, splitLine: { show: false },
      axisLine: { lineStyle: { color: color("line-strong") } },
    };
    const line = { type: "line", symbol: "none", animation: false, emphasis: { disabled: true } };
    const top = Math.max(1, ...[...series.limit, ...series.measured].map(([, kw]) => kw ?? 0));
    const prices = series.price.map(([, price]) => price);
    const floor = Math.min(0, ...prices);
    const dearest = Math.max(0.01, ...prices);
    return {
      animation: false,
      textStyle: { fontFamily: "inherit" },
      aria: { enabled: false },
      grid: [
        { left: 40, right: 12, top: 24, bottom: hasPrice ? 88 : 28 },
        { left: 40, right: 12, height: 34, bottom: 26 },
      ],
      axisPointer: { link: [{ xAxisIndex: "all" }], lineStyle: { color: color("muted"), type: "solid", width: 1 } },
      tooltip: {
        trigger: "axis", confine: true, transitionDuration: 0, borderWidth: 1, padding: [6, 10],
        backgroundColor: color("panel"), borderColor: color("line-strong"), formatter: (items) => tip(items),
      },
      xAxis: [
        { ...time, gridIndex: 0, axisLabel: { ...label, show: !hasPrice, formatter: clock } },
        { ...time, gridIndex: 1, show: hasPrice, axisLabel: { ...label, formatter: clock } },
      ],
      yAxis: [
        {
          type: "value", gridIndex: 0, min: 0, max: Math.ceil((top * 1.08) / 10) * 10, name: "kW", nameGap: 8,
          nameTextStyle: { color: color("muted"), align: "right", padding: [0, 6, 0, 0] }, axisLabel: label,
          splitLine: { lineStyle: { color: color("line") } },
        },
        {
          type: "value", gridIndex: 1, show: hasPrice, min: floor, max: dearest, interval: dearest - floor, splitLine: { show: false },
          axisLabel: { ...label, formatter: (value) => value.toFixed(2) },
        },
      ],
      series: [
        { ...line, step: "end", name: "Planned charging", data: series.planned, lineStyle: { width: 1, color: color("planned-line") }, areaStyle: { color: color("planned"), opacity: 1 }, itemStyle: { color: color("planned") } },
        { ...line, step: "end", name: "Building", data: series.building, lineStyle: { width: 0 }, areaStyle: { color: color("building"), opacity: 1 }, itemStyle: { color: color("building") } },
        {
          ...line, step: "end", name: "Limit", data: series.limit, lineStyle: { width: 1.5, color: color("limit") }, itemStyle: { color: color("limit") },
          markLine: {
            symbol: "none", silent: true, label: { formatter: "now", color: color("muted"), fontSize: 11 },
            lineStyle: { color: color("line-strong"), type: "solid", width: 1 }, data: [{ xAxis: now() * 1000 }],
          },
        },
        { ...line, name: "Measured", data: series.measured, lineStyle: { width: 2, color: color("measured") }, itemStyle: { color: color("measured") }, z: 4 },
        { ...line, step: "end", name: "Price", xAxisIndex: 1, yAxisIndex: 1, data: series.price, lineStyle: { width: 1.5, color: color("price") }, areaStyle: { color: color("price"), opacity: 0.12 }, itemStyle: { color: color("price") } },
      ],
    };
  }

  function tip(items) {
    const box = document.createElement("div");
    box.className = "tip";
    const head = document.createElement("b");
    head.textContent = dayHour.format(items[0].axisValue);
    box.append(head);
    const shown = new Set();
    for (const { seriesName, value } of items) {
      if (shown.has(seriesName) || value[1] === null || value[1] === undefined) continue;
      shown.add(seriesName);
      const row = document.createElement("p");
      const name = document.createElement("span");
      name.textContent = seriesName;
      const number = document.createElement("span");
      const told = value[2] ?? value[1];
      number.textContent = seriesName === "Price" ? `${told.toFixed(3)} ${boot.currency}/kWh` : `${told.toFixed(1)} kW`;
      row.append(name, number);
      box.append(row);
    }
    return box;
  }

  dark.addEventListener("change", drawNow);
  document.addEventListener("visibilitychange", drawNow);
  setInterval(drawNow, 30_000);
  return { draw, look(hours) { ahead = hours; drawNow(); } };
}

// One point per border, drawn as steps; the last value holds until the last border. `told` is what the tooltip says.
function stairs(borders, values, told = values) {
  const last = values.length - 1;
  return last < 0 ? [] : borders.map((border, i) => [border * 1000, values[Math.min(i, last)], told[Math.min(i, last)]]);
}

function withGaps(points) {
  const result = [];
  for (const point of points) {
    const before = result.at(-1);
    if (before && before[1] !== null && point[0] - before[0] > 120_000) result.push([before[0] + 60_000, null]);
    result.push(point);
  }
  return result;
}
