// Copyright (c) 2026, inference.fleet contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Copies the table of what to rent, as it is shown, as Markdown for a pull request or a chat and as CSV.
"use strict";
(() => {
  const { make } = page;
  const table = document.getElementById("offers");
  if (!table) return;

  // A cell's parts in one line; what is simulated says so first.
  function text(cell) {
    const parts = [...cell.childNodes].map((node) => node.textContent.trim()).filter(Boolean);
    return parts[0] === "SIMULATED" ? `SIMULATED ${parts.slice(1).join(", ")}` : parts.join(", ");
  }

  function shown() {
    const rows = [...table.rows].filter((row) => row.getClientRects().length);
    return rows.map((row) => [...row.cells].map(text));
  }

  const LETTERS = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;" };

  // As markdown.escape in Python: what a document names can neither format nor notify anybody.
  function escaped(cell) {
    return cell.replace(/[\\`*_[\]|~$#]/gu, "\\$&").replace(/[&<>@]/gu, (letter) => LETTERS[letter]);
  }

  function markdown() {
    const [head, ...rows] = shown();
    const line = (cells) => `| ${cells.join(" | ")} |`;
    const said = [...document.querySelectorAll("#rent .said")].filter((part) => part.getClientRects().length).map((part) => `**${escaped(part.textContent.trim().replace(/\s+/gu, " "))}**`);
    return [...said, "", line(head.map(escaped)), line(head.map((_cell, place) => (place ? "---:" : "---"))), ...rows.map((cells) => line(cells.map(escaped))), ""].join("\n");
  }

  // Figures without their commas; a dash is empty; no spreadsheet takes a text for a formula.
  function csv() {
    const field = (cell) => {
      if (cell === "\u2013") return "";
      if (/^[\d,]+(\.\d+)?$/u.test(cell)) return cell.replaceAll(",", "");
      const safe = /^\s*[=+\-@]/u.test(cell) ? `'${cell}` : cell;
      return /[",\n]/u.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    };
    return shown().map((cells) => cells.map(field).join(",")).join("\n") + "\n";
  }

  const box = make("div", { className: "actions" });
  const fallback = make("pre", { hidden: true, tabIndex: 0 });
  for (const [name, made] of [["Markdown", markdown], ["CSV", csv]]) {
    const button = make("button", { type: "button", className: "whole" }, `Copy this table as ${name}`);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(made());
        button.textContent = `Copied as ${name}`;
        fallback.hidden = true;
      } catch {
        // A browser that lets no page of a file copy shows the text, selected.
        fallback.textContent = made();
        fallback.hidden = false;
        getSelection().selectAllChildren(fallback);
      }
    });
    box.append(button);
  }
  document.getElementById("rent").append(box, fallback);
})();
