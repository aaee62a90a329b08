// Fills in an example payload for the chosen action while the field is untouched.
const form = document.getElementById("command");
if (form) {
  const examples = JSON.parse(document.getElementById("examples").textContent);
  const { action, payload } = form.elements;
  let written = payload.value;
  action.addEventListener("input", () => {
    const example = examples[action.value];
    if (example === undefined || payload.value !== written) return;
    written = JSON.stringify(example, null, 1);
    payload.value = written;
  });
}
