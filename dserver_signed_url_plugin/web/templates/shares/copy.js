"use strict";
function copiedWithoutClipboard(source) {
  getSelection().selectAllChildren(source);
  return document.execCommand("copy");
}
async function copied(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    return copiedWithoutClipboard(source);
  }
}
for (const button of document.querySelectorAll("[data-copies]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const done = await copied(document.getElementById(button.dataset.copies));
    const word = done ? "Copied" : "Press Ctrl+C";
    document.getElementById("copied").textContent = word;
    button.textContent = word;
    setTimeout(() => {
      button.textContent = "Copy";
      document.getElementById("copied").textContent = "";
    }, 2500);
  });
}
