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

  return {
    make,
    number,
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
  };
})();
