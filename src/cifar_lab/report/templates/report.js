"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const said = document.getElementById("said");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "pentagon", "hexagon"];
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
  let printing = false;

  // --- looks ---------------------------------------------------------------------------------------------------------

  const PAPER = { "--paper": "#ffffff", "--ink": "#000000", "--soft": "#444444", "--grid": "#dddddd", "--line": "#999999",
    "--control": "#6b737d", "--arm0": "#0068a8", "--arm1": "#b54700", "--arm2": "#00795a", "--arm3": "#9b3f83",
    "--arm4": "#7a5c00", "--arm5": "#33669b", "--low": "#b54700", "--zero": "#f6f7f9", "--high": "#0068a8" };
  const color = (name) =>
    printing ? PAPER[name] : getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const look = (style) => ({
    color: color(style < 0 ? "--control" : `--arm${style % 6}`),
    symbol: style < 0 ? "circle" : SYMBOLS[style % 6],
    dash: style < 0 ? "dot" : DASHES[style % 6],
  });
  const fade = (hex, share) => hex + Math.round(255 * share).toString(16).padStart(2, "0");
  // Plotly reads a little HTML in its texts, and %{…} in those of marks; what people wrote is neither.
  const text = (value) => String(value).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/%\{/g, "%&#123;");
  const signed = (value, digits) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);

  function layout(changes) {
    const axis = { color: color("--soft"), gridcolor: color("--grid"), linecolor: color("--line"), zeroline: false,
      fixedrange: true, automargin: true, ticks: "" };
    const { xaxis, yaxis, ...rest } = changes;
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, dragmode: false,
      hovermode: "closest", margin: { l: 4, r: 12, t: 8, b: 30 },
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: color("--ink") },
      hoverlabel: { bgcolor: color("--ink"), bordercolor: color("--ink"), font: { family: getComputedStyle(document.body).fontFamily, color: color("--paper"), size: 13 }, align: "left", namelength: 0 },
      xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis }, ...rest,
    };
  }

  const label = (words, x, y, more) => ({ text: words, x, y, showarrow: false, font: { size: 13, color: color("--ink") }, ...more });

  // --- charts: what the template names -> [traces, layout] -----------------------------------------------------------

  // A name that is too long loses its middle: what sets arms apart stands at either end.
  function fit(name, letters) {
    if (name.length <= letters) return name;
    const head = Math.max(4, Math.ceil((letters - 1) / 2));
    return name.slice(0, head) + "…" + name.slice(name.length - Math.max(3, letters - 1 - head));
  }

  // One row an arm, its words above its marks, so that long names take no width from the scale; in two lines where
  // a name would lose letters in one.
  function rows(chart, unit, digits, gd) {
    const traces = [], words = [], shapes = [], letters = Math.floor((widthOf(gd) - 24) / 7.4);
    const tall = chart.rows.some((row) => row.label.length + 2 + row.words.length > letters);
    gd.dataset.height ??= parseFloat(gd.style.height);
    gd.style.height = `${Number(gd.dataset.height) + (tall ? 20 * chart.rows.length : 0)}px`;
    chart.rows.forEach((row, place) => {
      const mark = look(row.style), y = -place;
      words.push(label(`<b>${text(fit(row.label, letters))}</b>${tall ? "<br>" : "  "}${text(row.words)}`, 0, y + (tall ? 0.38 : 0.36), {
        align: "left", xref: "paper", xanchor: "left", yanchor: "middle", xshift: -3, bgcolor: fade(color("--paper"), 0.85), borderpad: 1, font: { size: 13, color: row.style < 0 ? color("--soft") : color("--ink") } }));
      if (row.low !== null) {
        shapes.push({ type: "line", x0: row.low, x1: row.high, y0: y, y1: y, line: { color: mark.color, width: 7 }, opacity: 0.45, layer: "below" });
      }
      if (row.values.length) {
        traces.push({ type: "scatter", mode: "markers", x: row.values.map((pair) => pair[1]),
          y: row.values.map((_, k) => y - 0.22 - 0.13 * (k % 2)), customdata: row.values.map((pair) => pair[0]),
          hovertemplate: `${text(row.label)}, seed %{customdata}<br>%{x:.2f} ${unit}<extra></extra>`,
          marker: { symbol: mark.symbol + "-open", size: 8, color: mark.color, line: { width: 1.5 } } });
      }
      if (row.mean !== null) {
        const interval = row.low === null ? "" : `<br>${row.level ?? 95} % interval ${row.low.toFixed(digits)} to ${row.high.toFixed(digits)} ${unit}`;
        traces.push({ type: "scatter", mode: "markers", x: [row.mean], y: [y],
          hovertemplate: `${text(row.label)}, mean of ${row.values.length}<br>${row.mean.toFixed(digits)} ${unit}${interval}<extra></extra>`,
          marker: { symbol: mark.symbol, size: 11, color: mark.color, line: { color: color("--paper"), width: 1 } } });
      }
    });
    return [traces, words, shapes];
  }

  const KINDS = {
    accuracy(chart, gd) {
      const [traces, words, shapes] = rows(chart, "%", 2, gd);
      if (chart.chance !== null && chart.chance >= chart.range[0]) {
        shapes.push({ type: "line", x0: chart.chance, x1: chart.chance, y0: 0, y1: 1, yref: "paper", line: { color: color("--soft"), dash: "dot", width: 1.5 }, layer: "below" });
        words.push(label("chance", chart.chance, 0, { yref: "paper", xanchor: "left", yanchor: "bottom", xshift: 3, font: { size: 11, color: color("--soft") } }));
      }
      return [traces, layout({ annotations: words, shapes,
        xaxis: { range: chart.range, ticksuffix: " %" },
        yaxis: { range: [-chart.rows.length + 0.45, 0.7], visible: false } })];
    },

    difference(chart, gd) {
      const [traces, words, shapes] = rows(chart, "pp", 2, gd);
      shapes.push({ type: "line", x0: 0, x1: 0, y0: 0, y1: 1, yref: "paper", line: { color: color("--soft"), width: 1.5 }, layer: "below" });
      if (chart.min_effect) {
        shapes.push({ type: "rect", x0: -chart.min_effect, x1: chart.min_effect, y0: 0, y1: 1, yref: "paper", fillcolor: color("--soft"), opacity: 0.14, line: { width: 0 }, layer: "below" });
      }
      return [traces, layout({ annotations: words, shapes,
        xaxis: { range: chart.range, ticksuffix: " pp" },
        yaxis: { range: [-chart.rows.length + 0.45, 0.7], visible: false } })];
    },

    curves(chart, gd) {
      const metric = choice(gd) || Object.keys(chart.metrics)[0];
      const traces = [], ends = [];
      for (const arm of chart.arms.filter((each) => metric in each)) {
        const mark = look(arm.style), { mean, runs } = arm[metric], longest = mean.length;
        const epochs = Array.from({ length: longest }, (_, k) => k + 1);
        runs.forEach((run) => traces.push({ type: "scatter", mode: "lines", x: epochs, y: run, hoverinfo: "skip",
          line: { color: fade(mark.color, 0.3), width: 1 } }));
        traces.push({ type: "scatter", mode: "lines+markers", x: epochs, y: mean,
          hovertemplate: `${text(arm.label)}, epoch %{x}<br>${chart.metrics[metric]} %{y:.3f}<extra></extra>`,
          line: { color: mark.color, width: 2.2, dash: mark.dash }, marker: { symbol: mark.symbol, color: mark.color, size: longest > 30 ? 1 : 7 } });
        const last = mean.findLastIndex((value) => value !== null);
        if (last >= 0) ends.push({ y: mean[last], words: arm.label, color: mark.color });
      }
      const wide = widthOf(gd) > 560, letters = Math.floor((wide ? 0.32 : 0.9) * widthOf(gd) / 6.6);
      ends.forEach((end) => { end.words = fit(end.words, letters); });
      const beside = 20 + 6.6 * Math.max(14, ...ends.map((end) => end.words.length));
      ends.forEach((end) => { end.words = text(end.words); });
      const [low, high] = extent(traces.flatMap((trace) => trace.y));
      spread(ends, (high - low) / 18);
      return [traces, layout({
        margin: { l: 8, r: wide ? beside : 12, t: wide ? 8 : 8 + 20 * ends.length, b: 44 },
        annotations: wide
          ? ends.map((end) => label(end.words, 1, end.at, { xref: "paper", xanchor: "left", xshift: 8, font: { size: 12, color: end.color } }))
          : ends.sort((a, b) => b.y - a.y).map((end, k) => label(end.words, 0, 1, { xref: "paper", yref: "paper", xanchor: "left", yanchor: "bottom", yshift: 20 * (ends.length - 1 - k), font: { size: 12, color: end.color } })),
        xaxis: { title: { text: "epoch", font: { size: 12, color: color("--soft") } }, tickformat: "d", showgrid: false },
        yaxis: { title: { text: chart.metrics[metric], font: { size: 12, color: color("--soft") } }, rangemode: "normal" } })];
    },

    classes(chart) {
      const traces = [], count = chart.rows.length;
      chart.rows.forEach((row, k) => {
        const mark = look(row.style), shift = count === 1 ? 0 : 0.5 * (k / (count - 1) - 0.5);
        row.each.forEach(([seed, values]) => traces.push({ type: "scatter", mode: "markers", x: values, y: values.map((_, c) => -c - shift),
          customdata: values.map((_, c) => text(chart.names[c])), hovertemplate: `${text(row.label)}, %{customdata}, seed ${seed}<br>%{x:+.1f} pp<extra></extra>`,
          marker: { symbol: mark.symbol + "-open", size: 5, color: fade(mark.color, 0.55) } }));
        traces.push({ type: "scatter", mode: "markers", x: row.mean, y: row.mean.map((_, c) => -c - shift),
          customdata: row.mean.map((_, c) => text(chart.names[c])), hovertemplate: `${text(row.label)}, %{customdata}<br>mean %{x:+.1f} pp<extra></extra>`,
          marker: { symbol: mark.symbol, size: 10, color: mark.color, line: { color: color("--paper"), width: 1 } } });
      });
      return [traces, layout({
        shapes: [{ type: "line", x0: 0, x1: 0, y0: 0, y1: 1, yref: "paper", line: { color: color("--soft"), width: 1.5 }, layer: "below" }],
        xaxis: { ticksuffix: " pp" },
        yaxis: { tickvals: chart.names.map((_, c) => -c), ticktext: chart.names.map(text), range: [-chart.names.length + 0.4, 0.6], color: color("--ink") } })];
    },

    confusion(chart, gd) {
      const row = chart.rows[Number(choice(gd) || 0)];
      const most = Math.max(1, ...row.cells.flat().map(Math.abs)), count = chart.names.length;
      const numbers = count <= 12 && gd.clientWidth > 300;
      const annotations = [];
      if (numbers) {
        row.cells.forEach((line, y) => line.forEach((value, x) => {
          if (Math.abs(value) >= 0.05) annotations.push(label(signed(value, Math.abs(value) < 9.95 && gd.clientWidth > 560 ? 1 : 0), x, y, { font: { size: gd.clientWidth > 560 ? 11 : 9,
            color: Math.abs(value) > 0.8 * most ? color("--paper") : color("--ink") } }));
        }));
      }
      return [[{ type: "heatmap", z: row.cells, zmin: -most, zmax: most, showscale: !numbers, xgap: 1, ygap: 1,
        colorscale: [[0, color("--low")], [0.5, color("--zero")], [1, color("--high")]],
        customdata: row.cells.map((line, y) => line.map((_, x) => [text(chart.names[y]), text(chart.names[x])])),
        hovertemplate: "%{customdata[0]} taken for %{customdata[1]}<br>%{z:+.1f} of 100 images<extra></extra>" }],
        layout({ annotations, margin: { l: 8, r: 8, t: 8, b: 8 },
          xaxis: { tickvals: chart.names.map((_, c) => c), ticktext: chart.names.map(text), showgrid: false, tickangle: -45, color: color("--ink") },
          yaxis: { tickvals: chart.names.map((_, c) => c), ticktext: chart.names.map(text), showgrid: false, autorange: "reversed", color: color("--ink") } })];
    },

    cost(chart, gd) {
      const traces = [], words = [];
      const xs = chart.points.map((point) => point.x), [low, high] = extent(xs);
      chart.points.forEach((point) => {
        const mark = look(point.style);
        traces.push({ type: "scatter", mode: "markers", x: [point.x], y: [point.y],
          error_y: point.low === null ? {} : { type: "data", symmetric: false, array: [point.high - point.y], arrayminus: [point.y - point.low], color: mark.color, thickness: 1.5, width: 4 },
          hovertemplate: `${text(point.label)}<br>%{y:.2f} % at %{x:,.4~g} ${chart.unit}<extra></extra>`,
          marker: { symbol: mark.symbol, size: 12, color: mark.color } });
        const right = point.x > (low + high) / 2;
        words.push(label(text(fit(point.label, Math.floor(widthOf(gd) / 16))), point.x, point.y, { xanchor: right ? "right" : "left", xshift: right ? -10 : 10, yshift: 9, font: { size: 12, color: mark.color } }));
      });
      const pad = (high - low || high || 1) * 0.12;
      return [traces, layout({ annotations: words, margin: { l: 4, r: 12, t: 12, b: 44 },
        xaxis: { title: { text: chart.title, font: { size: 12, color: color("--soft") } }, range: [Math.max(0, low - pad), high + pad] },
        yaxis: { title: { text: "test accuracy", font: { size: 12, color: color("--soft") } }, ticksuffix: " %" } })];
    },

    parallel(chart, gd) {
      const across = widthOf(gd) > 560, tight = widthOf(gd) / (chart.axes.length + 1) < 140;
      const values = chart.points.map((point) => point.value), [low, high] = extent(values);
      // The points come worst first. Bins by rank: the lower half, the upper half, the best quarter, the best twentieth.
      const bins = [[], [], [], []], count = chart.points.length;
      chart.points.forEach((point, k) => bins[k >= count - Math.max(5, count / 20) ? 3 : k >= 0.75 * count ? 2 : k >= 0.5 * count ? 1 : 0].push(point));
      const names = [...chart.axes.map((axis) => axis.name), chart.measure], last = names.length - 1;
      // Lines through one value lie side by side, better ones higher.
      const heights = (point) => {
        const good = (point.value - low) / (high - low || 1);
        return [...point.at.map((at, k) => at / (chart.axes[k].values.length - 1) + 0.05 * (good - 0.5)), good];
      };
      const shades = [[fade(color("--control"), 0.28), 0.8, "dot"], [fade(color("--arm0"), 0.4), 1, "solid"], [fade(color("--arm0"), 0.65), 1.2, "solid"], [color("--arm1"), 2, "solid"]];
      const traces = bins.map((points, bin) => {
        const along = [], up = [], about = [];
        for (const point of points) {
          heights(point).forEach((height, k) => { along.push(k); up.push(height); about.push(`${text(point.name)}<br>${point.value.toFixed(2)} %`); });
          along.push(null); up.push(null); about.push("");
        }
        return { type: "scatter", mode: "lines+markers", x: across ? along : up, y: across ? up : along.map((k) => k === null ? null : -k), customdata: about,
          hovertemplate: "%{customdata}<extra></extra>", line: { color: shades[bin][0], width: shades[bin][1], dash: shades[bin][2], shape: "linear" },
          marker: { size: bin === 3 ? 5 : 3, color: shades[bin][0] } };
      });
      const ticks = [], shapes = [];
      chart.axes.forEach((axis, k) => {
        axis.values.forEach((value, at) => {
          const height = at / (axis.values.length - 1);
          ticks.push(label(text(value), across ? k : height, across ? height : -k, { xanchor: across ? "left" : "center", xshift: across ? 5 : 0, yshift: across ? 0 : -9, bgcolor: color("--paper"), borderpad: 1, opacity: 0.9, font: { size: 11, color: color("--soft") } }));
        });
      });
      [[low, 0], [high, 1]].forEach(([value, height]) => ticks.push(label(`${value.toFixed(1)} %`, across ? last : height, across ? height : -last, { xanchor: across ? "left" : "center", xshift: across ? 5 : 0, yshift: across ? 0 : -10, font: { size: 11, color: color("--soft") } })));
      names.forEach((name, k) => {
        shapes.push(across ? { type: "line", x0: k, x1: k, y0: 0, y1: 1, line: { color: color("--line"), width: 1 }, layer: "below" } : { type: "line", y0: -k, y1: -k, x0: 0, x1: 1, line: { color: color("--line"), width: 1 }, layer: "below" });
        ticks.push(label(`<b>${text(name)}</b>`, across ? k : 0, across ? 1 : -k, across ? { yshift: tight && k % 2 ? 35 : 20, xanchor: k === last ? "right" : k ? "center" : "left" } : { xanchor: "left", yshift: 16, bgcolor: fade(color("--paper"), 0.85), borderpad: 1 }));
      });
      return [traces, layout({ annotations: ticks, shapes, margin: { l: 8, r: across ? 52 : 24, t: across && tight ? 51 : 36, b: 16 },
        xaxis: { visible: false, range: across ? [-0.02, last + 0.02] : [-0.04, 1.04] },
        yaxis: { visible: false, range: across ? [-0.05, 1.05] : [-last - 0.3, 0.4] } })];
    },

    effect(chart) {
      const names = chart.values.map((value) => text(value.label));
      const at = chart.values.map((_, k) => k);
      const each = chart.values.flatMap((value, k) => value.each.map((accuracy) => [k, accuracy]));
      return [[
        { type: "scatter", mode: "markers", x: each.map(([k], n) => k + 0.24 * (((n * 0.618) % 1) - 0.5)), y: each.map(([, accuracy]) => accuracy), hoverinfo: "skip",
          marker: { symbol: "circle-open", size: 4, color: fade(color("--control"), 0.55) } },
        { type: "scatter", mode: chart.ordered ? "lines+markers" : "markers", x: at, y: chart.values.map((value) => value.mean),
          customdata: chart.values.map((value) => [text(value.label), value.n]), hovertemplate: `${text(chart.name)} = %{customdata[0]}<br>mean of %{customdata[1]} points %{y:.2f} %<extra></extra>`,
          line: { color: color("--arm0"), width: 2 }, marker: { symbol: "diamond", size: 10, color: color("--arm0") } },
      ], layout({ margin: { l: 8, r: 8, t: 8, b: 30 },
        xaxis: { tickvals: at, ticktext: names, range: [-0.5, at.length - 0.5], showgrid: false },
        yaxis: { ticksuffix: " %", range: chart.range } })];
    },
  };

  function extent(values) {
    const known = values.filter((value) => value != null);
    return [Math.min(...known), Math.max(...known)];
  }

  // Moves words apart that would stand on each other, keeping their order.
  function spread(ends, gap) {
    ends.sort((a, b) => a.y - b.y);
    ends.forEach((end, k) => { end.at = k ? Math.max(end.y, ends[k - 1].at + gap) : end.y; });
    const over = ends.length ? (ends[ends.length - 1].at - ends[ends.length - 1].y) / 2 : 0;
    ends.forEach((end) => { end.at -= over; });
  }

  const choice = (gd) => gd.closest("figure").querySelector(".choices input:checked")?.value;

  // --- drawing -------------------------------------------------------------------------------------------------------

  const drawn = new Set();

  const widthOf = (gd) => printing ? onPaper(gd) : gd.clientWidth;

  // CSS pixels on a portrait page, whatever the window: the columns that the print style makes.
  function onPaper(gd) {
    const figure = gd.closest("figure");
    if (figure.closest(".slices")) return 200;
    if (figure.closest(".pair")?.children.length === 2) return 305;
    return 640;
  }

  function draw(gd) {
    const chart = charts[gd.dataset.chart];
    const [traces, frame] = KINDS[chart.kind](chart, gd);
    gd.pointsToStep = null;
    Plotly.react(gd, traces, { ...frame, height: gd.clientHeight, width: widthOf(gd) },
      { displayModeBar: false, responsive: false, doubleClick: false });
    drawn.add(gd);
    gd.dataset.drawn = "";
  }

  const redraw = () => drawn.forEach((gd) => { if (gd.clientWidth) draw(gd); });
  const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); sized.observe(entry.target); }
  }), { rootMargin: "400px" });
  const widths = new WeakMap();
  const sized = new ResizeObserver((entries) => entries.forEach(({ target }) => {
    const width = target.clientWidth;
    if (width && widths.has(target) && widths.get(target) !== width && !printing) draw(target);
    widths.set(target, width);
  }));
  document.querySelectorAll(".plot").forEach((gd) => seen.observe(gd));
  dark.addEventListener("change", redraw);
  document.querySelectorAll(".choices input").forEach((input) => input.addEventListener("change", () => draw(input.closest("figure").querySelector(".plot"))));

  // --- keyboard: arrow keys step through the marks of a chart and say them -------------------------------------------

  function say(gd) {
    const lines = [...gd.querySelectorAll(".hoverlayer text.nums")].map((words) => [...words.querySelectorAll("tspan.line")].map((line) => line.textContent).join(", ") || words.textContent);
    said.textContent = lines.join("; ");
  }

  function steps(gd) {
    gd.pointsToStep ??= gd.data.flatMap((trace, curve) => trace.hoverinfo === "skip" ? []
      : trace.type === "heatmap" ? trace.z.flatMap((line, y) => line.map((_, x) => ({ curveNumber: curve, pointNumber: [y, x] })))
      : trace.x.map((x, point) => x === null ? null : { curveNumber: curve, pointNumber: point }).filter(Boolean));
    return gd.pointsToStep;
  }

  document.querySelectorAll(".plot").forEach((gd) => {
    let at = -1;
    gd.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") { Plotly.Fx.unhover(gd); return; }
      if (!by || !gd.data) return;
      event.preventDefault();
      const points = steps(gd);
      at = (at + by + points.length) % points.length;
      Plotly.Fx.hover(gd, [points[at]]);
      setTimeout(say, 80, gd);  // the label follows within 50 ms
    });
    gd.addEventListener("blur", () => { if (gd.data) Plotly.Fx.unhover(gd); });
  });

  // --- tables that sort ----------------------------------------------------------------------------------------------

  const collator = new Intl.Collator(undefined, { numeric: true });
  document.querySelectorAll("table.sorts").forEach((table) => {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...cell.childNodes);
      cell.append(button);
      button.addEventListener("click", () => {
        const down = cell.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
        const order = (a, b) => {
          const [x, y] = [value(a), value(b)];
          if (x === "" || y === "") return x === y ? 0 : x === "" ? 1 : -1;  // what is not known comes last
          const both = Number(x) - Number(y);
          return (down ? -1 : 1) * (Number.isNaN(both) ? collator.compare(x, y) : both);
        };
        body.append(...[...body.rows].sort(order));
        said.textContent = `sorted by ${button.textContent}, ${down ? "descending" : "ascending"}`;
      });
    });
  });

  // --- folding and printing ------------------------------------------------------------------------------------------

  document.querySelectorAll("button.fold").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => {
      const all = [...document.querySelectorAll("main details")], open = all.some((each) => !each.open);
      all.forEach((each) => { each.open = open; });
      button.textContent = open ? "Fold everything" : "Unfold everything";
    });
  });
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open], .records)")];
    folded.forEach((each) => { each.open = true; });
    printing = true;
    document.querySelectorAll(".plot").forEach(draw);
  });
  addEventListener("afterprint", () => {
    printing = false;
    redraw();
    folded.forEach((each) => { each.open = false; });
  });
})();
