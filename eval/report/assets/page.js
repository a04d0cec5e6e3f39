"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  root.classList.add("js");
  for (const control of all(".control")) control.hidden = false;

  // Dark or light: the system's choice until the button is pressed.
  const theme = document.querySelector(".theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const name = () => { theme.textContent = dark() ? "light page" : "dark page"; };
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  system.addEventListener("change", name);
  name();

  // Tables: a press on a heading sorts upwards, then downwards, then back. A row without a value stays last.
  const missing = (text) => text === "" || text === "–";
  const number = (text) => Number(text.replaceAll(",", ""));
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell && cell.colSpan === 1 ? (cell.dataset.value ?? cell.firstChild?.textContent ?? "").trim() : "";
  };
  const tidy = (table) => {
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.matches(".group"));
      for (const row of all(".group", body)) row.hidden = table.matches(".sorted") || rows.every((r) => r.hidden);
    }
  };
  for (const table of all("table.sortable")) {
    const bodies = [...table.tBodies].map((body) => [body, [...body.rows]]);
    const rows = bodies.flatMap(([, list]) => list).filter((row) => !row.matches(".group"));
    const heads = all("thead th", table);
    const restore = () => {
      table.classList.remove("sorted");
      for (const [body, list] of bodies) body.append(...list);
    };
    const sort = (column, sign) => {
      const keys = new Map(rows.map((row) => [row, value(row, column)]));
      const numeric = [...keys.values()].every((text) => missing(text) || !Number.isNaN(number(text)));
      const compare = numeric ? (a, b) => number(a) - number(b) : (a, b) => a.localeCompare(b, "en", { numeric: true });
      restore();
      table.classList.add("sorted");
      bodies[0][0].append(...[...rows].sort((r, s) => {
        const [a, b] = [keys.get(r), keys.get(s)];
        return missing(a) || missing(b) ? missing(a) - missing(b) : sign * compare(a, b);
      }));
    };
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: "none" }[head.ariaSort] ?? "ascending";
        for (const h of heads) h.removeAttribute("aria-sort");
        if (next === "none") restore();
        else {
          head.setAttribute("aria-sort", next);
          sort(column, next === "ascending" ? 1 : -1);
        }
        tidy(table);
      });
    });
  }

  // Filter: rows and pictures whose name holds every word.
  for (const box of all(".filter input")) {
    const items = all("[data-name]");
    const names = new Set(items.map((item) => item.dataset.name));
    const status = box.closest(".filter").querySelector("[role=status]");
    box.addEventListener("input", () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      const shown = new Set();
      for (const item of items) {
        const hit = words.every((word) => item.dataset.name.toLowerCase().includes(word));
        item.hidden = !hit;
        if (hit) shown.add(item.dataset.name);
      }
      status.textContent = words.length ? `${shown.size} of ${names.size}` : "";
      all("table.sortable").forEach(tidy);
    });
  }

  // Pictures: the slider is the border between zero-shot on its left and fine-tuned on its right.
  const moves = new Map();
  for (const slide of all(".slide")) {
    const pair = slide.querySelector(".pair");
    const input = slide.querySelector("input[type=range]");
    if (!input) continue;
    const show = () => {
      pair.style.setProperty("--at", `${input.value}%`);
      input.setAttribute("aria-valuetext", `${100 - input.value} % fine-tuned`);
    };
    const drag = (event) => {
      const box = pair.getBoundingClientRect();
      input.value = (100 * (event.clientX - box.left)) / box.width;
      show();
    };
    input.addEventListener("input", show);
    pair.addEventListener("pointerdown", (event) => { pair.setPointerCapture(event.pointerId); drag(event); });
    pair.addEventListener("pointermove", (event) => { if (pair.hasPointerCapture(event.pointerId)) drag(event); });
    moves.set(input, show);
    show();
  }
  for (const gallery of all(".gallery")) {
    const every = gallery.querySelector(".all input");
    every?.addEventListener("input", () => {
      for (const [input, show] of moves) {
        if (gallery.contains(input)) { input.value = every.value; show(); }
      }
    });
    for (const box of all("input[data-hides]", gallery)) {
      box.addEventListener("change", () => gallery.classList.toggle(box.dataset.hides, !box.checked));
    }
  }
})();
