// Copyright (c) 2026, inference.fleet contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Leaves of the whole page what is of one model, engine, profile, host, time or kind. The address keeps what is chosen.
"use strict";
const filter = (() => {
  const { make, get, set } = page;
  const { facets, choices, unwell } = page.first.filter;
  const NAMES = ["model", "engine", "profile", "host"];
  const KINDS = [["measured", "measured alone"], ["simulated", "simulated alone"]];
  const listeners = [];
  const chosen = {};

  // Seconds since 1970 of a day's begin, or its end; infinite where there is none.
  function second(key) {
    const day = Date.parse(`${get(key) || ""}T00:00:00Z`) / 1000;
    if (Number.isNaN(day)) return key === "from" ? -Infinity : Infinity;
    return key === "from" ? day : day + 86399;
  }

  function read() {
    for (const name of NAMES) chosen[name] = choices[name].some(([value]) => value === get(name)) ? get(name) : "";
    chosen.kind = KINDS.some(([value]) => value === get("kind")) ? get("kind") : "";
    [chosen.from, chosen.to] = [second("from"), second("to")];
    chosen.facets = new Set(facets.map((_facet, place) => place).filter((place) => {
      const facet = facets[place];
      return NAMES.every((name, column) => !chosen[name] || facet[column] === chosen[name])
        && (!chosen.kind || facet[4] === (chosen.kind === "simulated"));
    }));
  }

  const active = () => NAMES.some((name) => chosen[name]) || Boolean(chosen.kind) || Number.isFinite(chosen.from) || Number.isFinite(chosen.to);
  const of = (place) => chosen.facets.has(place);
  const at = (first, last = first) => last >= chosen.from && first <= chosen.to;

  // Whether a part of the page is of what is chosen. One of several hosts is where one of them is; one without a time always is.
  function keeps({ dataset }) {
    return dataset.of.split(" ").some((place) => of(Number(place))) && (!dataset.at || at(...dataset.at.split(" ").map(Number)));
  }

  function apply() {
    for (const part of document.querySelectorAll("[data-of]")) part.classList.toggle("out", !keeps(part));
    for (const holder of document.querySelectorAll("[data-holds]")) {
      holder.classList.toggle("out", active() && !holder.querySelector("[data-of]:not(.out)"));
    }
    told.textContent = active() ? said() : "";
    clear.hidden = !active();
    count();
    listeners.forEach((listener) => listener());
  }

  // What is shown, in words.
  function said() {
    const named = [...NAMES.map((name) => choices[name].find(([value]) => value === chosen[name])), KINDS.find(([value]) => value === chosen.kind)];
    const days = [["from", get("from")], ["to", get("to")]].filter(([key]) => Number.isFinite(chosen[key]));
    const parts = [...named.filter(Boolean).map(([, text]) => text), ...days.map((pair) => pair.join(" "))];
    return `Shown: ${parts.join(", ")}. A row of several hosts stays whole where one of them is chosen.`;
  }

  // The first answer, of those hosts that are chosen.
  function count() {
    const names = (items, simulated) => new Set(items.filter((item) => item[1] === simulated).map(([host]) => host));
    for (const line of document.querySelectorAll("#fleet [data-health]")) {
      line.dataset.health ||= line.textContent;
      const simulated = Boolean(line.dataset.simulated);
      const hosts = names([...chosen.facets].map((place) => facets[place].slice(3)), simulated);
      const ill = [...names(unwell, simulated)].filter((host) => hosts.has(host)).length;
      line.textContent = active() ? `Of what is chosen, ${hosts.size - ill} of ${hosts.size} ${simulated ? "rehearsed " : ""}host${hosts.size === 1 ? "" : "s"} well` : line.dataset.health;
      line.parentElement.classList.toggle("out", active() && !hosts.size);
    }
    nothing.hidden = !active() || Boolean(document.querySelector("#changed [data-of]:not(.out)"));
  }

  function choice(key, name, options) {
    const select = make("select", {}, make("option", { value: "" }, "all"), ...options.map(([value, text]) => make("option", { value }, text)));
    return control(key, name, select, () => chosen[key]);
  }

  function control(key, name, input, now) {
    input.addEventListener("input", () => {
      set(key, input.value);
      read();
      apply();
    });
    controls.push(() => { input.value = now(); });
    return make("label", {}, name, input);
  }

  const controls = [];
  const nothing = make("p", { className: "fine", hidden: true }, "Nothing of what is chosen.");
  document.getElementById("changed").append(nothing);
  const told = make("span", {});
  told.setAttribute("role", "status");
  const clear = make("button", { type: "button", className: "whole" }, "Show all");
  clear.addEventListener("click", () => {
    for (const key of [...NAMES, "kind", "from", "to"]) set(key, null);
    again();
  });
  const box = make("div", { className: "limits" });
  for (const name of NAMES) {
    if (choices[name].length > 1) box.append(choice(name, name[0].toUpperCase() + name.slice(1), choices[name]));
  }
  if (new Set(facets.map((facet) => facet[4])).size > 1) box.append(choice("kind", "Kind", KINDS));
  for (const [key, name] of [["from", "From, UTC"], ["to", "To, UTC"]]) box.append(control(key, name, make("input", { type: "date" }), () => get(key) || ""));

  function again() {
    read();
    controls.forEach((control_) => control_());
    apply();
  }

  function on(listener) {
    listeners.push(listener);
  }

  read();
  controls.forEach((control_) => control_());
  const fold = make("details", { className: "plainly", open: active() }, make("summary", {}, "Filter by model, engine, hardware, host or time"), box);
  document.getElementById("filter").append(fold, make("p", { className: "fine" }, told, " ", clear));
  apply();
  window.addEventListener("hashchange", again);
  return { active, of, at, keeps, on };
})();
