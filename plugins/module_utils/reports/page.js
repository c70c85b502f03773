// Copyright (c) 2026, inference.fleet contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// What the page's other scripts share. Everything enters the page as text, nothing as HTML.
"use strict";
const page = (() => {
  function make(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  // The fragment is a place in the page, then what is chosen in it: #run-1?tpot=20&sort=1.
  function split() {
    const [place, query = ""] = location.hash.slice(1).split("?");
    let id = "";
    try {
      id = decodeURIComponent(place);
    } catch {
      // A fragment that somebody mistyped is no place.
    }
    return [id, new URLSearchParams(query)];
  }

  const address = (id, query) => `#${encodeURIComponent(id)}${query.size ? `?${query}` : ""}`;

  function write(id, query) {
    history.replaceState(null, "", address(id, query));
  }

  // The data of runs and plots is packed; a browser of before 2023 cannot unpack it.
  async function unpacked() {
    const bytes = Uint8Array.from(atob(document.getElementById("data").textContent), (letter) => letter.charCodeAt(0));
    const data = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
    for (const column of [data.runs.series, data.runs.at]) {
      column.forEach((step, place) => { if (place) column[place] = column[place - 1] + step; });
    }
    // By their place in the page, the runs that it tells whole.
    data.whole = new Map(data.details.runs.map((run) => [run[0].replace(/[^A-Za-z0-9_.-]/gu, "-"), run]));
    return data;
  }

  // As words.number in Python.
  function number(value) {
    if (value === null || value === undefined) return "\u2013";
    const size = Math.abs(value);
    if (Number.isInteger(value) || size >= 99.95) return Math.round(value).toLocaleString("en-US");
    if (size >= 9.995) return value.toFixed(1);
    if (size >= 0.9995) return value.toFixed(2);
    return value.toFixed(Math.min(12, 2 - Math.floor(Math.log10(size))));
  }

  // As words.change in Python.
  function percent(share) {
    const text = (100 * share).toFixed(1);
    return Number(text) === 0 ? "0.0 %" : `${share > 0 ? "+" : ""}${text} %`.replace("-", "\u2212");
  }

  function table(head, rows, kind = "") {
    const row = (cells) => make("tr", {}, ...cells.map((cell, index) => make(index ? "td" : "th", index ? {} : { scope: "row" }, cell)));
    const columns = make("tr", {}, ...head.map((cell) => (cell ? make("th", { scope: "col" }, cell) : make("td", {}))));
    const body = make("tbody", {}, ...rows.map(row));
    return make("div", { className: "scroll", tabIndex: 0 }, make("table", { className: `plain ${kind}`.trim() }, make("thead", {}, columns), body));
  }

  // What is said of a run that the page tells whole: [title, [name, text] of each fact] by section.
  function facts({ details }, [id, host, sections]) {
    const filled = (text) => text.replaceAll("\0", id).replaceAll("\u0001", host);
    return sections.map(([title, names, texts]) =>
      [details.pool[title], details.pool[names].map((name, index) => [filled(name), filled(details.pool[texts][index])])]);
  }

  return {
    make,
    number,
    percent,
    table,
    facts,
    // What the first screen needs is not packed.
    first: JSON.parse(document.getElementById("first").textContent),
    data: unpacked(),
    // As words.minute in Python.
    minute: (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " "),
    place: () => split()[0],
    get: (key) => split()[1].get(key),
    // Keeps a choice in the address; an empty one leaves it.
    set(key, value) {
      const [id, query] = split();
      if (value === null || value === "") query.delete(key);
      else query.set(key, value);
      write(id, query);
    },
    go(id) {
      write(id, split()[1]);
    },
    // Follows a link to a place, with what is chosen and more.
    visit(id, choices = {}) {
      const [, query] = split();
      for (const [key, value] of Object.entries(choices)) query.set(key, value);
      const wanted = address(id, query);
      if (location.hash === wanted) window.dispatchEvent(new HashChangeEvent("hashchange"));
      else location.hash = wanted;
    },
  };
})();
