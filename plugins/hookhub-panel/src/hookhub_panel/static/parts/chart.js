// A chart of numbers over time, drawn by uPlot in the page's colours.

import { html, useEffect, useLayoutEffect, useRef } from "../vendor/preact/preact-htm.js";
import uPlot from "../vendor/uplot/uPlot.esm.js";
import { useMedia } from "./hooks.js";
import { currentLanguage, moment, number, t, tick } from "./i18n.js";

const HEIGHT = 190;

/** A colour of the style sheet as a canvas understands it. */
function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/**
 * `series`: `[{label, colour: "--good", values}]`, `times`: Unix seconds; `show(value)` makes its
 * text. `theme` draws it anew.
 */
export function Chart({ title, times, series, range, theme, show = (value) => number(value) }) {
  const place = useRef(null);
  const plot = useRef(null);
  const language = currentLanguage();
  const dark = useMedia("(prefers-color-scheme: dark)");
  const key = series.map(({ label }) => label).join("|");
  useLayoutEffect(() => {
    const node = place.current;
    plot.current = new uPlot(options(node, { series, range, show }), [times, ...series.map(({ values }) => values)], node);
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: node.clientWidth, height: HEIGHT }));
    observer.observe(node);
    return () => {
      observer.disconnect();
      plot.current.destroy();
      plot.current = null;
    };
  }, [key, range, theme, language, dark]);
  useEffect(() => {
    plot.current?.setData([times, ...series.map(({ values }) => values)]);
  }, [times]);
  const latest = series.map(({ label, values }) => `${label}: ${textOf(values.findLast((value) => value !== null), show)}`);
  return html`<figure class="card pad chart"><figcaption>${title}</figcaption>
    <div class="plot" ref=${place} role="img" aria-label="${title}. ${latest.join(", ")}"></div></figure>`;
}

const textOf = (value, show) => (value === null || value === undefined ? "–" : show(value));

/** Points without neighbours, which no line shows. */
function lone(plot, index) {
  const values = plot.data[index];
  const known = (at) => values[at] !== null && values[at] !== undefined;
  return [...values.keys()].filter((at) => known(at) && !known(at - 1) && !known(at + 1));
}

function latest(plot) {
  const last = Math.max(...plot.data.slice(1).map((values) => values.findLastIndex((value) => value !== null)));
  if (last >= 0 && plot.legend) plot.setLegend({ idx: last }, false);
}

function options(node, { series, range, show }) {
  const [quiet, line] = [colour("--quiet"), colour("--line")];
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { stroke: quiet, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  return {
    width: node.clientWidth || 300,
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    cursor: { y: false, points: { size: 6 } },
    legend: { live: true },
    // Without a pointer on it, the legend tells the newest values.
    hooks: { ready: [latest], setData: [latest], setCursor: [(plot) => plot.cursor.left < 0 && latest(plot)] },
    scales: { x: { time: true }, y: { range: (plot, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [
      { ...axis, size: 34, space: 70, values: (plot, ticks) => ticks.map((at) => tick(at, range)) },
      { ...axis, size: 62, space: 34, values: (plot, ticks) => ticks.map(show) },
    ],
    series: [
      { label: t("chart.time"), value: (plot, at) => (at === null ? "–" : moment(new Date(at * 1000).toISOString())) },
      ...series.map((item) => {
        const stroke = colour(item.colour);
        return { label: item.label, stroke, width: 2, fill: item.fill ? stroke.replace(/^rgb\((.*)\)$/, "rgba($1, .12)") : undefined, points: { show: true, size: 4, filter: lone }, value: (plot, value) => textOf(value, show) };
      }),
    ],
  };
}
