// Draws the chart of a [data-trend] figure from the cells of its own table: time, values, reference range.
(() => {
  "use strict";

  const styles = getComputedStyle(document.documentElement);
  const token = (name) => styles.getPropertyValue(name).trim();
  const rem = () => parseFloat(styles.fontSize);
  const lines = [
    { colour: token("--pine"), dash: [] },
    { colour: token("--apricot"), dash: [8, 5] },
    { colour: token("--info"), dash: [2, 4] },
  ];

  const figure = (text) => (text === undefined || text === "" ? null : Number(text));

  function readTable(table) {
    const heads = [...table.querySelectorAll("thead th[data-label]")];
    const rows = [...table.querySelectorAll("tbody tr")].map((row) => ({
      at: Date.parse(row.querySelector("time").dateTime) / 1000,
      values: [...row.querySelectorAll("td.cell--number")].map((cell) => figure(cell.dataset.value)),
    }));
    rows.sort((a, b) => a.at - b.at);
    return {
      series: heads.map((head) => ({ label: head.dataset.label, low: figure(head.dataset.low), high: figure(head.dataset.high) })),
      data: [rows.map((row) => row.at), ...heads.map((_head, index) => rows.map((row) => row.values[index]))],
    };
  }

  // The range of the values with the reference ends in sight, and a little air.
  function extent(read) {
    const all = read.data.slice(1).flat().concat(read.series.flatMap((one) => [one.low, one.high]));
    const known = all.filter((value) => value !== null);
    const low = Math.min(...known);
    const high = Math.max(...known);
    const air = (high - low || Math.abs(high) || 1) * 0.12;
    return [low >= 0 ? Math.max(0, low - air) : low - air, high + air];
  }

  function drawRanges(read) {
    return (plot) => {
      const { ctx, bbox } = plot;
      read.series.forEach((one, index) => {
        if (one.low === null && one.high === null) return;
        const top = one.high === null ? bbox.top : plot.valToPos(one.high, "y", true);
        const bottom = one.low === null ? bbox.top + bbox.height : plot.valToPos(one.low, "y", true);
        ctx.save();
        ctx.globalAlpha = 0.1;
        ctx.fillStyle = lines[index % lines.length].colour;
        ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
        ctx.restore();
      });
    };
  }

  // Within the range a dot, above a triangle upwards, below one downwards: shape as well as colour.
  function drawPoints(read) {
    return (plot, index) => {
      const one = read.series[index - 1];
      const size = 4.5 * devicePixelRatio;
      plot.data[index].forEach((value, position) => {
        if (value === null) return;
        const x = plot.valToPos(plot.data[0][position], "x", true);
        const y = plot.valToPos(value, "y", true);
        const high = one.high !== null && value > one.high;
        const low = one.low !== null && value < one.low;
        mark(plot.ctx, x, y, size, high ? -1 : low ? 1 : 0, lines[(index - 1) % lines.length].colour);
      });
      return false;
    };
  }

  function mark(ctx, x, y, size, direction, colour) {
    ctx.save();
    ctx.beginPath();
    if (direction === 0) ctx.arc(x, y, size * 0.85, 0, 2 * Math.PI);
    else {
      ctx.moveTo(x, y + direction * size * 1.4);
      ctx.lineTo(x - size * 1.3, y - direction * size);
      ctx.lineTo(x + size * 1.3, y - direction * size);
      ctx.closePath();
    }
    ctx.fillStyle = direction === 0 ? colour : direction < 0 ? token("--bad") : token("--info");
    ctx.fill();
    ctx.setLineDash([]);
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.strokeStyle = "#fff";
    ctx.stroke();
    ctx.restore();
  }

  // Figures only, so that both languages read them; in the clinic's zone, wherever the browser is.
  const days = (zone) => (_plot, splits, _axis, _space, step) => {
    const pad = (part) => String(part).padStart(2, "0");
    return splits.map((at) => {
      const day = uPlot.tzDate(new Date(at * 1000), zone);
      const month = `${day.getFullYear()}-${pad(day.getMonth() + 1)}`;
      if (step >= 360 * 86400) return String(day.getFullYear());
      if (step >= 28 * 86400) return month;
      if (step >= 86400) return `${pad(day.getMonth() + 1)}-${pad(day.getDate())}`;
      return `${pad(day.getHours())}:${pad(day.getMinutes())}`;
    });
  };

  function options(read, zone, width, height) {
    const font = `${0.8125 * rem()}px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { font, stroke: token("--ink-soft"), grid: { stroke: token("--line"), width: 1 }, ticks: { show: false } };
    const range = extent(read);
    return {
      width,
      height,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), zone),
      scales: { y: { range: () => range }, x: { range: (_plot, low, high) => padded(low, high) } },
      axes: [{ ...axis, values: days(zone), space: 4 * rem(), size: 2.2 * rem(), grid: { show: false } }, { ...axis, size: 3.2 * rem() }],
      series: [{}, ...read.series.map((one, index) => ({
        label: one.label,
        stroke: lines[index % lines.length].colour,
        dash: lines[index % lines.length].dash,
        width: 2,
        spanGaps: true,
        points: { show: drawPoints(read) },
      }))],
      hooks: { drawClear: [drawRanges(read)] },
    };
  }

  function padded(low, high) {
    const air = (high - low || 30 * 86400) * 0.04;
    return [low - air, high + air];
  }

  function draw(trend) {
    const chart = trend.querySelector(".trend__chart");
    const read = readTable(trend.querySelector("table"));
    if (trend.dataset.drawn || read.data[0].length < 2) return;
    trend.dataset.drawn = "yes";
    chart.hidden = false;
    const height = Math.round(15 * rem());
    const plot = new uPlot(options(read, trend.dataset.zone, chart.clientWidth, height), read.data, chart);
    new ResizeObserver(() => plot.setSize({ width: chart.clientWidth, height })).observe(chart);
    trend.querySelector("details").open = false;
  }

  const drawAll = () => document.querySelectorAll("[data-trend]").forEach(draw);
  document.addEventListener("htmx:after:swap", drawAll);
  drawAll();
})();
