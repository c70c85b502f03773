// Copyright (c) 2026, inference.fleet contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Limits, order and question of the table of what to rent. Which is cheaper was decided before: each load has its order.
"use strict";
(() => {
  const { make, get, set } = page;
  const table = document.getElementById("offers");
  // Nothing was measured.
  if (!table) return;
  const { rows, questions, limits } = page.first.rent;
  // So many cells of a row are its load's; behind them stand its scores.
  const width = rows[0].offers[0].cells.length;
  const body = table.tBodies[0];
  const lines = [...body.rows];
  const said = make("p", { className: "said" });
  said.setAttribute("aria-live", "polite");
  let by = [-1, false];
  const chosen = { question: "", limits: [Infinity, Infinity] };

  // The cheapest of a row's loads that keeps the limits; null where none does, or none is a measure.
  function best(row) {
    const kept = row.offers.filter((offer) => offer.limited.every((value, place) =>
      chosen.limits[place] === Infinity || (value !== null && value <= chosen.limits[place])));
    return kept.sort((one, other) => one.unfit - other.unfit || one.order - other.order)[0] || null;
  }

  function show() {
    const limited = chosen.limits.some(Number.isFinite) || filter.active();
    let first = null;
    rows.forEach((row, place) => {
      const offer = best(row);
      const asked = (!chosen.question || row.question === chosen.question) && filter.keeps(lines[place]);
      lines[place].hidden = !asked || !offer;
      row.shown = offer;
      if (!offer) return;
      lines[place].cells[0].querySelector("a").hash = offer.run;
      offer.cells.forEach((text, index) => {
        lines[place].cells[index + 1].textContent = text;
      });
      if (asked && !offer.unfit && (!first || offer.order < first.shown.order)) first = row;
    });
    arrange();
    const single = new Set(rows.filter((row, place) => row.shown && !lines[place].hidden).map(({ question }) => question)).size < 2;
    lines.forEach((line, place) => line.classList.toggle("chosen", Boolean(limited && single && rows[place] === first)));
    for (const old of document.querySelectorAll("#rent [data-question]")) old.hidden = limited;
    said.hidden = !limited;
    if (!limited) return;
    const wanted = chosen.limits.map((limit, place) => Number.isFinite(limit) && `${limits[place].name} \u2264 ${limit} ms`);
    const keeps = wanted.some(Boolean) ? ` that keeps ${wanted.filter(Boolean).join(" and ")}` : "";
    const of = filter.active() ? "Of what is chosen, " : "";
    const text = !first ? `nothing measured, warm and undisturbed${keeps || " is here"}.`
      : single ? `the cheapest${keeps}: ${first.shown.said}` : `several kinds of request have a row${keeps}: choose one to see the cheapest.`;
    said.textContent = of ? of + text : text[0].toUpperCase() + text.slice(1);
  }

  // By a column, what is not known last whichever way; without one by price, those first that are a measure.
  function arrange() {
    const [place, down] = by;
    [...table.tHead.rows[0].cells].forEach((cell, index) => {
      if (index === place) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    const key = (index) => {
      if (place > width) return rows[index].score;
      if (place) return rows[index].shown?.values[place - 1] ?? null;
      return place === 0 ? lines[index].cells[0].textContent : null;
    };
    const price = (index) => (rows[index].shown ? rows[index].shown.order + rows[index].shown.unfit * 1e9 : Infinity);
    const order = lines.map((_line, index) => index).sort((one, other) => {
      const [a, b] = [key(one), key(other)];
      if (a === null || b === null) return (a === null) - (b === null) || price(one) - price(other) || one - other;
      return (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1) || one - other;
    });
    body.append(...order.map((index) => lines[index]));
  }

  [...table.tHead.rows[0].cells].forEach((cell, place) => {
    const button = make("button", { type: "button" }, cell.textContent);
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      by = [place, down];
      arrange();
      set("sort", (down ? "-" : "") + place);
    });
    cell.replaceChildren(button);
  });

  const controls = make("div", { className: "limits" });
  if (questions.length > 1) {
    const select = make("select", {}, make("option", { value: "" }, "all"), ...questions.map((text) => make("option", { value: text }, text)));
    select.value = questions.includes(get("ask")) ? get("ask") : "";
    chosen.question = select.value;
    select.addEventListener("input", () => {
      chosen.question = select.value;
      set("ask", select.value);
      show();
    });
    controls.append(make("label", {}, "Requests", select));
  }
  limits.forEach(({ key, name, steps }, place) => {
    if (steps.length < 2) return;
    const input = make("input", { type: "range", min: 0, max: steps.length, step: 1 });
    const told = make("output", {});
    const wanted = Number(get(key));
    const at = wanted ? steps.findIndex((step) => step >= wanted) : -1;
    input.value = at < 0 ? steps.length : at;
    const read = () => {
      const limit = steps[Number(input.value)] ?? Infinity;
      chosen.limits[place] = limit;
      const text = Number.isFinite(limit) ? `\u2264 ${limit.toLocaleString("en-US")} ms` : "any";
      told.textContent = text;
      input.setAttribute("aria-valuetext", text);
    };
    input.addEventListener("input", () => {
      read();
      set(key, Number.isFinite(chosen.limits[place]) ? chosen.limits[place] : null);
      show();
    });
    read();
    controls.append(make("label", {}, make("span", {}, `Cheapest that keeps ${name} `, told), input));
  });
  if (controls.childElementCount) document.getElementById("limits").append(controls, said);
  const sorted = /^(-?)(\d+)$/u.exec(get("sort") || "");
  if (sorted && Number(sorted[2]) < table.tHead.rows[0].cells.length) by = [Number(sorted[2]), Boolean(sorted[1])];
  show();
  filter.on(show);
})();
