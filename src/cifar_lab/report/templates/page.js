"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const said = document.getElementById("said");
  let printing = false;

  // --- drawing -------------------------------------------------------------------------------------------------------

  const drawn = new Map();
  const widthOf = (plot) => printing ? onPaper(plot) : plot.clientWidth;
  const besideOther = (plot) => Boolean(plot.closest(".pair")?.querySelector("figure + figure")) && (printing || matchMedia("(min-width: 48rem)").matches);

  // CSS pixels on a portrait page, whatever the window: the columns that the print style makes.
  function onPaper(plot) {
    if (plot.closest(".slices")) return 200;
    const pair = plot.closest(".pair");
    if (!pair?.querySelector("figure + figure")) return 640;
    return plot.closest("figure") === pair.querySelector("figure") ? 370 : 250;
  }

  function choices(plot) {
    const checked = plot.closest("figure").querySelectorAll(".choices input:checked");
    return Object.fromEntries([...checked].map((input) => [input.dataset.choice, input.value]));
  }

  function draw(plot) {
    const found = labCharts.draw(charts[plot.dataset.chart], widthOf(plot), besideOther(plot), choices(plot));
    plot.style.minHeight = "0";
    plot.replaceChildren(found.svg);
    drawn.set(plot, { ...found, at: -1 });
    plot.dataset.drawn = widthOf(plot);
  }

  const redraw = () => drawn.forEach((_, plot) => { if (plot.clientWidth) draw(plot); });
  const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); sized.observe(entry.target); }
  }), { rootMargin: "400px" });
  const sized = new ResizeObserver((entries) => entries.forEach(({ target }) => {
    if (!printing && target.clientWidth && Number(target.dataset.drawn) !== target.clientWidth) draw(target);
  }));
  const plots = document.querySelectorAll(".plot");
  plots.forEach((plot) => seen.observe(plot));
  document.querySelectorAll(".choices input").forEach((input) => input.addEventListener("change", () => draw(input.closest("figure").querySelector(".plot"))));

  // --- keyboard: arrow keys step through the marks of a chart and say them -------------------------------------------

  const middle = (scale, value) => scale.apply(value) + (scale.bandwidth || 0) / 2;

  // The tip follows the pointer, so a step is a move of the pointer to the mark.
  function point(svg, mark) {
    const box = svg.getBoundingClientRect(), ratio = box.width / svg.width.baseVal.value;
    const shift = (name) => (mark[name] === undefined ? 0 : svg.scale(name).apply(mark[name]) - svg.scale(name).range[0]);
    const at = { clientX: box.left + ratio * (middle(svg.scale("x"), mark.x) + shift("fx")), clientY: box.top + ratio * (middle(svg.scale("y"), mark.y) + shift("fy")) };
    svg.dispatchEvent(new PointerEvent("pointermove", { ...at, pointerType: "mouse", bubbles: true }));
  }
  const leave = (svg) => svg.dispatchEvent(new PointerEvent("pointerleave", { pointerType: "mouse" }));

  plots.forEach((plot) => {
    plot.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key], state = drawn.get(plot);
      if (!state?.points.length) return;
      if (event.key === "Escape") leave(state.svg);
      if (!by) return;
      event.preventDefault();
      const count = state.points.length;
      state.at = state.at < 0 && by < 0 ? count - 1 : (state.at + by + count) % count;
      point(state.svg, state.points[state.at]);
      said.textContent = state.points[state.at].words.replaceAll("\n", ", ");
    });
    plot.addEventListener("blur", () => { if (drawn.has(plot)) leave(drawn.get(plot).svg); });
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
    plots.forEach(draw);
  });
  addEventListener("afterprint", () => {
    printing = false;
    redraw();
    folded.forEach((each) => { each.open = false; });
  });
})();
