// The dial pad: sixteen keys, on the page and on the keyboard.

const ROWS = ["123A", "456B", "789C", "*0#D"];
const LETTERS = { 2: "ABC", 3: "DEF", 4: "GHI", 5: "JKL", 6: "MNO", 7: "PQRS", 8: "TUV", 9: "WXYZ", 0: "+" };
const NAMES = { "*": "star", "#": "pound" };
const FLASH = 150; // ms that a pressed key stays lit

/** Fills `element` with keys; `onDigit(digit)` is called for each one pressed. */
export function makeDialpad(element, onDigit) {
  for (const digit of ROWS.join("")) element.append(makeKey(digit));
  element.addEventListener("click", (event) => {
    const key = event.target.closest(".key");
    if (key) onDigit(key.dataset.digit);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || isTyping(event.target)) return;
    const digit = event.key.toUpperCase();
    const key = element.querySelector(`.key[data-digit="${CSS.escape(digit)}"]`);
    if (!key) return;
    event.preventDefault();
    flash(key);
    onDigit(digit);
  });
}

function makeKey(digit) {
  const key = document.createElement("button");
  key.type = "button";
  key.className = "key";
  key.dataset.digit = digit;
  key.setAttribute("aria-label", NAMES[digit] ?? digit);
  key.append(digit);
  if (/[A-D]/.test(digit)) key.classList.add("letter");
  const letters = document.createElement("small");
  letters.textContent = LETTERS[digit] ?? "";
  key.append(letters);
  return key;
}

function flash(key) {
  key.classList.add("pressed");
  setTimeout(() => key.classList.remove("pressed"), FLASH);
}

function isTyping(target) {
  return target.closest?.("input, textarea, select, [contenteditable]") != null;
}
