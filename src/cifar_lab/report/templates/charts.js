"use strict";
// The charts of the page: a chart of the JSON block and a width in CSS pixels -> { svg, points }. Colours are variables
// of the style sheet, so that a change of the colour scheme and printing need no drawing.
globalThis.labCharts = (() => {
  const LOOKS = JSON.parse(document.getElementById("looks").textContent);
  const ROW = 58, HEAD = 24, FOOT = 28;
  const DASHES = ["none", "7,3", "2,3", "7,3,2,3", "12,4", "12,4,2,4"];
  const INK = "var(--ink)", SOFT = "var(--soft)", GRID = "var(--grid)", PAPER = "var(--paper)";

  const look = (style) => style < 0
    ? { color: "var(--control)", symbol: LOOKS.control, dash: "2,3" }
    : { color: `var(--arm${style % LOOKS.arms.length})`, symbol: LOOKS.arms[style % LOOKS.arms.length], dash: DASHES[style % DASHES.length] };
  const known = (values) => values.filter((value) => value !== null && value !== undefined);
  const extent = (values) => [Math.min(...known(values)), Math.max(...known(values))];
  const ruler = document.createElement("canvas").getContext("2d");
  ruler.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const widest = (names) => Math.max(0, ...names.map((name) => ruler.measureText(name).width));
  const halo = { stroke: PAPER, strokeWidth: 4, strokeLinejoin: "round" };
  const percent = (value) => `${+value.toFixed(4)} %`;

  // A frame with one tip for all its points. `points` has x, y and words, in the order of the keyboard.
  function frame(width, height, points, { marks, ...options }) {
    const svg = Plot.plot({
      width, height, ...options,
      style: { background: "none", color: INK, fontFamily: "inherit", fontSize: "12px", overflow: "visible" },
      marks: [...marks, Plot.tip(points, Plot.pointer({ x: "x", y: "y", title: "words", fx: options.fx ? "fx" : undefined, fy: options.fy ? "fy" : undefined,
        fill: PAPER, stroke: SOFT, fontSize: 13, lineWidth: 26, maxRadius: 36 }))],
    });
    svg.setAttribute("aria-hidden", "true");  // the text alternative of the chart says the same
    return { svg, points };
  }

  const axisX = (options) => Plot.axisX({ tickSize: 0, color: SOFT, labelArrow: "none", labelAnchor: "center", ...options });
  const axisY = (options) => Plot.axisY({ tickSize: 0, color: SOFT, labelArrow: "none", labelAnchor: "center", ...options });
  const scaled = (grid, options) => [Plot.gridX({ stroke: GRID, strokeOpacity: 1, ticks: grid }), axisX({ ticks: grid, ...options })];

  // An interval as in the figures: a line with two caps.
  function whisker(from, to, y, half, color, width) {
    return [
      Plot.ruleY([y], { x1: from, x2: to, y: y, stroke: color, strokeWidth: width }),
      Plot.ruleX([from, to], { x: (value) => value, y1: y - half, y2: y + half, stroke: color, strokeWidth: width }),
    ];
  }

  const KINDS = {
    accuracy(chart, width) {
      const count = chart.rows.length, marks = [], points = [], wide = widest(chart.rows.map((row) => row.count));
      const ticks = Math.max(2, Math.min(6, Math.floor(width / 80)));
      marks.push(...scaled(ticks, { tickFormat: (value) => `${+value.toFixed(4)} ${chart.unit}`, label: null }));
      chart.rows.forEach((row, k) => {
        const arm = look(row.style), at = (pixels) => k + pixels / ROW;
        marks.push(
          Plot.text([row.label], { x: 0, y: at(13), text: (words) => words, textAnchor: "start", fontSize: 13, fontWeight: 600, dx: 1,
            lineWidth: 0.86 * (width - wide - 30) / 13, textOverflow: "ellipsis-middle", ...halo, fill: INK }),
          Plot.text([row.count], { y: at(13), text: (words) => words, frameAnchor: "right", dx: 62, textAnchor: "end", fill: SOFT }));
        if (row.mean === null) {
          marks.push(Plot.text([row.note], { x: 0, y: at(35), text: (words) => words, textAnchor: "start", dx: 8, fontStyle: "italic", fill: SOFT, stroke: PAPER, strokeWidth: 4 }));
          return;
        }
        marks.push(Plot.rect([row], { x1: 0, x2: "mean", y1: at(25), y2: at(46), fill: arm.color }));
        if (row.low !== null) marks.push(...whisker(row.low, row.high, at(30), 3 / ROW, INK, 1.3));
        const dots = row.values.map(([seed, value], j) => ({ x: value, y: at(33 + 11 * (j + 1) / (row.values.length + 1)), words: `${row.label}, seed ${seed}\n${value.toFixed(chart.digits)} ${chart.unit}` }));
        marks.push(Plot.dot(dots, { x: "x", y: "y", r: 3, fill: PAPER, stroke: INK, strokeWidth: 1.1 }));
        const end = Math.max(...known([row.mean, row.high, ...row.values.map((pair) => pair[1])]));
        marks.push(Plot.text([row.shown], { x: end, y: at(36), text: (words) => words, textAnchor: "start", dx: 9, fontSize: 13, fontWeight: 700, fill: INK, ...halo }));
        points.push({ x: row.mean, y: at(28), words: row.words }, ...dots);
      });
      if (chart.chance !== null) {
        marks.push(
          Plot.ruleX([chart.chance], { stroke: INK, strokeDasharray: "4,3" }),
          Plot.text([chart.chance_words], { x: chart.chance, text: (words) => words, frameAnchor: "top", dy: -9, fill: SOFT }));
      }
      return frame(width, HEAD + ROW * count + FOOT, points, { marks, marginTop: HEAD, marginBottom: FOOT, marginLeft: 14, marginRight: 66,
        x: { domain: [0, chart.end] }, y: { domain: [0, count], reverse: true, axis: null } });
    },

    difference(chart, width, beside) {
      // Beside the accuracies the rows are theirs. Below them each needs its name, and the control has none.
      const rows = beside ? chart.rows : chart.rows.filter((row) => row.mean !== null);
      const row_height = beside ? ROW : ROW + 20, shift = beside ? 0 : 20, count = rows.length, marks = [], points = [];
      const ends = rows.flatMap((row) => [row.mean, row.low, row.high, ...row.values.map((pair) => pair[1])]);
      const [low, high] = extent([...ends, 0, chart.min_effect, -chart.min_effect]);
      const room = Math.max(0.1 * (high - low), 10 ** -chart.digits), domain = [low - room, high + room];
      if (chart.min_effect) {
        marks.push(Plot.rect([0], { x1: -chart.min_effect, x2: chart.min_effect, y1: 0, y2: count, fill: SOFT, fillOpacity: 0.16 }));
      }
      marks.push(...scaled(Math.max(2, Math.min(6, Math.floor(width / 70))), { tickFormat: (value) => String(+value.toFixed(4)).replace("-", "−"), label: null }),
        Plot.ruleX([0], { stroke: SOFT, strokeWidth: 1.4 }));
      rows.forEach((row, k) => {
        const arm = look(row.style), at = (pixels) => k + (pixels + shift) / row_height;
        if (!beside) marks.push(Plot.text([row.label], { y: at(-7), text: (words) => words, frameAnchor: "left", textAnchor: "start", fontSize: 13, fontWeight: 600, fill: INK, ...halo,
          lineWidth: 0.86 * (width - 12) / 13, textOverflow: "ellipsis-middle" }));
        if (row.words) marks.push(Plot.text([row.words], { y: at(13), text: (words) => words, frameAnchor: beside ? "middle" : "left", textAnchor: beside ? "middle" : "start", fontSize: 13, fill: INK, ...halo }));
        if (row.mean === null) return;
        if (row.low !== null) marks.push(...whisker(row.low, row.high, at(32), 5 / row_height, arm.color, 2));
        const dots = row.values.map(([seed, value], j) => ({ x: value, y: at(42 + 4 * (j % 3)), words: `${row.label}, seed ${seed}\n${value.toFixed(chart.digits)} ${chart.unit}` }));
        marks.push(Plot.dot(dots, { x: "x", y: "y", r: 2.6, fill: PAPER, stroke: INK }),
          Plot.dot([row], { x: "mean", y: at(32), symbol: arm.symbol, r: 5, fill: arm.color }));
        points.push({ x: row.mean, y: at(32), words: `${row.label}\n${row.words} ${chart.unit}` }, ...dots);
      });
      return frame(width, HEAD + row_height * count + FOOT, points, { marks, marginTop: HEAD, marginBottom: FOOT, marginLeft: 8, marginRight: 8,
        x: { domain }, y: { domain: [0, count], reverse: true, axis: null } });
    },

    curves(chart, width, beside, choices) {
      const measure = choices.measure || ("val_accuracy" in chart.metrics || "train_accuracy" in chart.metrics ? "accuracy" : "loss");
      const parts = ["train", "val"].filter((part) => `${part}_${measure}` in chart.metrics);
      const two = parts.length > 1, side = two && width > 560, facet = (part) => (two ? { [side ? "fx" : "fy"]: part === "train" ? "training" : "validation" } : {});
      const marks = [], points = [];
      let longest = 1;
      for (const arm of chart.arms) {
        for (const part of parts.filter((each) => `${each}_${measure}` in arm)) {
          const { mean, runs } = arm[`${part}_${measure}`], shown = look(arm.style), where = facet(part);
          const line = (values) => values.map((value, k) => ({ x: k + 1, y: value, ...where })), facets = two ? { [side ? "fx" : "fy"]: side ? "fx" : "fy" } : {};
          longest = Math.max(longest, mean.length);
          runs.forEach((run) => marks.push(Plot.line(line(run), { x: "x", y: "y", ...facets, stroke: shown.color, strokeOpacity: 0.35, strokeWidth: 1 })));
          const points_of = line(mean).map((point) => ({ ...point, words: point.y === null ? "" : `${arm.label}, epoch ${point.x}\n${chart.metrics[`${part}_${measure}`]} ${point.y.toFixed(3)}` }));
          marks.push(Plot.line(points_of, { x: "x", y: "y", ...facets, stroke: shown.color, strokeWidth: 2.2, strokeDasharray: shown.dash }));
          if (mean.length <= 30) marks.push(Plot.dot(points_of, { x: "x", y: "y", ...facets, symbol: shown.symbol, r: 4, fill: shown.color }));
          points.push(...points_of.filter((point) => point.y !== null));
        }
      }
      const least = Math.max(1, longest / Math.max(2, (width / (side ? 2 : 1)) / 45));
      const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((each) => each >= least) || Math.ceil(least);
      const ticks = Array.from({ length: longest }, (_, k) => k + 1).filter((epoch) => epoch % step === 0 || (epoch === 1 && step < 5));
      return frame(width, two && !side ? 500 : 330, points, { marks: [
        Plot.gridY({ stroke: GRID, strokeOpacity: 1, ticks: 5 }), axisX({ ticks, tickFormat: (epoch) => String(epoch), label: "epoch" }), axisY({ label: measure, ticks: 5 }), ...marks],
        marginLeft: 52, marginRight: two && !side ? 24 : 12, marginTop: 26, marginBottom: 40, x: { domain: [1 - 0.04 * Math.max(1, longest - 1), longest + 0.04 * Math.max(1, longest - 1)] }, y: { nice: true },
        ...(two ? { [side ? "fx" : "fy"]: { label: null, padding: 0.1 } } : {}) });
    },

    classes(chart, width) {
      const count = chart.names.length, marks = [], points = [], arms = chart.rows.length;
      chart.rows.forEach((row, k) => {
        const arm = look(row.style), shift = arms === 1 ? 0 : 0.56 * (k / (arms - 1) - 0.5);
        const dots = row.each.flatMap(([seed, values]) => values.map((value, c) => ({ x: value, y: c + shift, words: `${row.label}, ${chart.names[c]}, seed ${seed}\n${signed(value)} pp` })));
        const means = row.mean.map((value, c) => ({ x: value, y: c + shift, words: `${row.label}, ${chart.names[c]}\nmean ${signed(value)} pp` }));
        marks.push(Plot.dot(dots, { x: "x", y: "y", symbol: arm.symbol, r: 2.5, stroke: arm.color, strokeOpacity: 0.6 }),
          Plot.dot(means, { x: "x", y: "y", symbol: arm.symbol, r: 5, fill: arm.color, stroke: PAPER, strokeWidth: 0.8 }));
        points.push(...means, ...dots);
      });
      const gap = Math.max(20, 9 + 9 * arms), room = Math.min(widest(chart.names), 0.38 * width);
      return frame(width, 50 + count * gap, points, { marks: [
        Plot.gridX({ stroke: GRID, strokeOpacity: 1 }), Plot.gridY(chart.names.slice(1).map((_, k) => k + 0.5), { stroke: GRID, strokeOpacity: 1 }), Plot.ruleX([0], { stroke: SOFT, strokeWidth: 1.4 }),
        axisX({ label: "difference to the control (pp)", ticks: Math.floor(width / 80), tickFormat: (value) => String(+value.toFixed(4)).replace("-", "−") }),
        axisY({ ticks: chart.names.map((_, c) => c), tickFormat: (c) => chart.names[c], label: null, color: INK, lineWidth: room / 12, textOverflow: "ellipsis" }), ...marks],
        marginLeft: 12 + room, marginRight: 12, marginTop: 6, marginBottom: 40, y: { domain: [-0.5, count - 0.5], reverse: true } });
    },

    confusion(chart, width, beside, choices) {
      const row = chart.rows[Number(choices.arm || 0)], change = choices.cells === "change" && row.change;
      const cells = (change || row.own).flatMap((line, t) => line.map((value, p) => ({ t, p, value })));
      const count = chart.names.length, most = change ? Math.max(1, ...cells.map((cell) => Math.abs(cell.value))) : 100;
      const side = Math.min(width, 620), named = count <= 40, name = named ? widest(chart.names) + 4 : 0;
      cells.forEach((cell) => {
        cell.share = Math.abs(cell.value) / most;
        cell.shown = change ? (Math.abs(cell.value) >= 0.5 ? signed(cell.value, 0) : "") : cell.value >= 0.5 ? cell.value.toFixed(0) : "";
        cell.words = change ? `${chart.names[cell.t]} taken for ${chart.names[cell.p]}\n${signed(cell.value)} of 100 images` : `${chart.names[cell.t]} taken for ${chart.names[cell.p]}\n${cell.value.toFixed(1)} of 100 images`;
      });
      const numbers = count <= 12 && side > 300, fill = (test, color) => Plot.cell(cells.filter(test), { x: "p", y: "t", fill: color, fillOpacity: "share", inset: 0.5 });
      const points = cells.map(({ t, p, words }) => ({ x: p, y: t, words })), every = chart.names.map((_, c) => c), ticks = named ? every : [];
      return frame(side, side - name + 0.75 * name + 30, points, { marks: [
        Plot.cell(cells, { x: "p", y: "t", fill: "var(--zero)", inset: 0.5 }), fill((cell) => cell.value > 0, "var(--high)"), fill((cell) => cell.value < 0, "var(--low)"),
        axisX({ ticks, tickFormat: (c) => chart.names[c], tickRotate: -45, textAnchor: "end", label: "predicted class", labelOffset: 0.75 * name + 28, color: INK }),
        axisY({ ticks, tickFormat: (c) => chart.names[c], label: "true class", labelOffset: name + 22, color: INK }),
        ...(numbers ? [Plot.text(cells, { x: "p", y: "t", text: "shown", fontSize: side > 480 ? 12 : 9.5, fill: (cell) => (cell.share > 0.75 ? PAPER : INK) })] : [])],
        marginLeft: name + 30, marginRight: 6, marginTop: 6, marginBottom: 0.75 * name + 34, color: { type: "identity" },
        x: { domain: every, type: "band", padding: 0 }, y: { domain: every, type: "band", padding: 0 }, opacity: { type: "identity" } });
    },

    robust(chart, width) {
      const marks = [], points = [];
      for (const arm of chart.arms) {
        const shown = look(arm.style);
        const line = arm.points.map(([level, name, mean, low, high]) => ({ x: level, y: mean, low, high, words: `${arm.label}, ${name}\n${mean.toFixed(2)} %${low === null ? "" : `\n95 % interval ${low.toFixed(1)} to ${high.toFixed(1)} %`}` }));
        if (line.every((point) => point.low !== null)) marks.push(Plot.areaY(line, { x: "x", y1: "low", y2: "high", fill: shown.color, fillOpacity: 0.18 }));
        marks.push(Plot.line(line, { x: "x", y: "y", stroke: shown.color, strokeWidth: 2.2, strokeDasharray: shown.dash }), Plot.dot(line, { x: "x", y: "y", symbol: shown.symbol, r: 4, fill: shown.color }));
        points.push(...line);
      }
      const levels = chart.arms[0].points, last = levels.at(-1)[0] || 1, room = width - 70;
      const ticks = apart(levels.map(([level, name]) => [Math.sqrt(level / last), name, level]), room);
      return frame(width, 340, points, { marks: [
        Plot.gridY({ stroke: GRID, strokeOpacity: 1, ticks: 5 }), axisX({ ticks: ticks.map((tick) => tick[2]), tickFormat: (level, k) => ticks[k][1], label: chart.axis }),
        axisY({ label: "accuracy", ticks: 5, tickFormat: percent }), ...marks],
        marginLeft: 56, marginRight: 14, marginTop: 20, marginBottom: 40, x: { type: "sqrt", domain: [0, last] }, y: { domain: [0, Math.max(...points.map((point) => point.high ?? point.y), 10)], nice: true } });
    },

    scatter(chart, width) {
      const marks = [], points = [];
      for (const arm of chart.arms) {
        const shown = look(arm.style), mean = (k) => arm.runs.reduce((sum, run) => sum + run[k], 0) / arm.runs.length;
        const runs = arm.runs.map(([seed, x, y]) => ({ x, y, words: `${arm.label}, seed ${seed}\nclean ${x.toFixed(2)} %, robust ${y.toFixed(2)} %` }));
        const middle = [{ x: mean(1), y: mean(2), words: `${arm.label}, mean\nclean ${mean(1).toFixed(2)} %, robust ${mean(2).toFixed(2)} %` }];
        marks.push(Plot.dot(runs, { x: "x", y: "y", symbol: shown.symbol, r: 3, stroke: shown.color, strokeOpacity: 0.8 }), Plot.dot(middle, { x: "x", y: "y", symbol: shown.symbol, r: 6, fill: shown.color, stroke: PAPER }));
        points.push(...middle, ...runs);
      }
      return frame(width, 340, points, { marks: [
        Plot.gridX({ stroke: GRID, strokeOpacity: 1, ticks: 5 }), Plot.gridY({ stroke: GRID, strokeOpacity: 1, ticks: 5 }),
        axisX({ label: "clean accuracy", ticks: Math.floor(width / 90), tickFormat: percent }), axisY({ label: "robust accuracy", ticks: 5, tickFormat: percent }), ...marks],
        marginLeft: 56, marginRight: 14, marginTop: 20, marginBottom: 40, x: { nice: true, inset: 12 }, y: { nice: true, inset: 12 } });
    },

    cost(chart, width) {
      const marks = [], xs = chart.points.map((point) => point.x), [low, high] = extent(xs), pad = (high - low || high || 1) * 0.14;
      for (const point of chart.points) {
        const arm = look(point.style);
        if (point.low !== null) marks.push(Plot.ruleX([point], { x: "x", y1: "low", y2: "high", stroke: arm.color, strokeWidth: 1.6 }));
        marks.push(Plot.dot([point], { x: "x", y: "y", symbol: arm.symbol, r: 5.5, fill: arm.color }));
      }
      return frame(width, 320, chart.points, { marks: [
        Plot.gridY({ stroke: GRID, strokeOpacity: 1, ticks: 5 }), axisX({ label: chart.title, ticks: Math.floor(width / 90), tickFormat: (value) => value.toLocaleString("en") }),
        axisY({ label: "test accuracy", ticks: 5, tickFormat: percent }), ...marks],
        marginLeft: 56, marginRight: 12, marginBottom: 40, x: { domain: [Math.max(0, low - pad), high + pad] }, y: { nice: true } });
    },

    parallel(chart, width) {
      const across = width > 560, values = chart.points.map((point) => point.value), [low, high] = extent(values);
      // The points come worst first. Bins by rank: the lower half, the upper half, the best quarter, the best twentieth.
      const count = chart.points.length, bins = [[], [], [], []];
      chart.points.forEach((point, k) => bins[k >= count - Math.max(5, count / 20) ? 3 : k >= 0.75 * count ? 2 : k >= 0.5 * count ? 1 : 0].push(point));
      const shades = [["var(--control)", 0.3, 0.8, "2,3"], ["var(--arm0)", 0.4, 1, "none"], ["var(--arm0)", 0.7, 1.2, "none"], ["var(--arm1)", 1, 2, "none"]];
      const names = [...chart.axes.map((axis) => axis.name + (axis.log ? " (log)" : "")), chart.measure], last = names.length - 1;
      const place = (axis, share) => (across ? { x: axis, y: share } : { x: share, y: -axis });
      const points = [], marks = names.map((_, k) => (across ? Plot.ruleX([k], { y1: 0, y2: 1, stroke: SOFT, strokeOpacity: 0.5 }) : Plot.ruleY([-k], { x1: 0, x2: 1, stroke: SOFT, strokeOpacity: 0.5 })));
      bins.forEach((bin, b) => {
        const [stroke, strokeOpacity, strokeWidth, strokeDasharray] = shades[b];
        // Lines through one value lie side by side, better ones higher.
        const along = bin.flatMap((point) => {
          const good = (point.value - low) / (high - low || 1), words = `${point.name}\n${point.value.toFixed(2)} %`;
          return [...point.at.map((at) => at + 0.04 * (good - 0.5)), good].map((share, k) => ({ ...place(k, share), z: point.name, words }));
        });
        marks.push(Plot.line(along, { x: "x", y: "y", z: "z", stroke, strokeOpacity, strokeWidth, strokeDasharray }), Plot.dot(along, { x: "x", y: "y", r: b === 3 ? 2.6 : 1.5, fill: stroke, fillOpacity: strokeOpacity }));
        points.push(...along);
      });
      const ticks = [...chart.axes.flatMap((axis, k) => axis.ticks.map(([share, words]) => ({ ...place(k, share), words }))), { ...place(last, 0), words: `${low.toFixed(1)} %` }, { ...place(last, 1), words: `${high.toFixed(1)} %` }];
      marks.push(Plot.text(ticks, { x: "x", y: "y", text: "words", fontSize: 11, fill: SOFT, ...halo, ...(across ? { textAnchor: "start", dx: 6 } : { dy: 14 }) }));
      const tight = across && width / names.length < 150;
      names.forEach((name, k) => marks.push(Plot.text([name], { ...(across ? { x: k, y: 1 } : { x: 0, y: -k }), x: across ? k : 0, y: across ? 1 : -k, text: (words) => words, fontWeight: 600, ...halo, fill: INK,
        ...(across ? { dy: tight && k % 2 ? -32 : -16, textAnchor: k === last ? "end" : k ? "middle" : "start" } : { dy: -13, textAnchor: "start" }) })));
      return frame(width, across ? 420 : 60 + 92 * names.length, points.reverse(), { marks, marginLeft: 10, marginRight: across ? 54 : 14, marginTop: across ? (tight ? 48 : 32) : 32, marginBottom: across ? 16 : 30,
        x: { domain: across ? [-0.02, last + 0.02] : [-0.03, 1.03], axis: null }, y: { domain: across ? [-0.04, 1.04] : [-last - 0.05, 0.05], axis: null } });
    },

    effect(chart, width) {
      const ticks = apart(chart.ticks, width - 60);
      const each = chart.values.flatMap((value) => value.each.map((accuracy, n) => ({ x: value.at + (value.mean === null ? 0 : 0.05 * (((n * 0.618) % 1) - 0.5)), y: accuracy, words: `${chart.name} = ${value.label}\n${accuracy.toFixed(2)} %` })));
      const means = chart.values.filter((value) => value.mean !== null).map((value) => ({ x: value.at, y: value.mean, words: `${chart.name} = ${value.label}\nmean of ${value.n} points ${value.mean.toFixed(2)} %` }));
      const marks = [Plot.gridY({ stroke: GRID, strokeOpacity: 1, ticks: 5 }), axisX({ ticks: ticks.map(([place]) => place), tickFormat: (place, k) => ticks[k][1], label: null }), axisY({ ticks: 5, tickFormat: percent, label: null }),
        Plot.dot(each, { x: "x", y: "y", r: 2.2, stroke: "var(--control)", strokeOpacity: 0.7 })];
      if (chart.ordered && means.length) marks.push(Plot.line(means, { x: "x", y: "y", stroke: "var(--arm0)", strokeWidth: 2 }));
      marks.push(Plot.dot(means, { x: "x", y: "y", symbol: "diamond2", r: 5, fill: "var(--arm0)" }));
      return frame(width, 230, means.length ? [...means, ...each] : each, { marks, marginLeft: 44, marginRight: 14, marginTop: 10, marginBottom: 28, x: { domain: [-0.08, 1.08] }, y: { domain: chart.range } });
    },
  };

  // Ticks without those that would touch the one before.
  function apart(ticks, width) {
    const kept = [];
    for (const tick of ticks) {
      const last = kept.at(-1);
      if (!last || (tick[0] - last[0]) * width > 3.6 * (tick[1].length + last[1].length) + 8) kept.push(tick);
    }
    return kept;
  }

  function signed(value, digits = 1) {
    return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
  }

  return { draw: (chart, width, beside, choices) => KINDS[chart.kind](chart, width, beside, choices) };
})();
