"use strict";
// Elements, numbers, embedded data. Nothing here, or in any other script, writes HTML as text.
const Report = {};

Report.element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

Report.svg = (name, attributes = {}, ...children) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

Report.number = (value) => (typeof value === "number" ? value.toLocaleString("en-US") : String(value));

Report.data = (id) => JSON.parse(document.getElementById(id).textContent);

// Base64, gzip, JSON: the blocks of traces are unpacked when one is looked at.
Report.unpack = async (id) => {
  const text = atob(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
};

Report.copyButton = (line) => Report.element("button", { type: "button", class: "copy", "data-copy": line }, "copy");

Report.command = (line) => Report.element("span", { class: "command" }, Report.element("code", {}, line), Report.copyButton(line));
