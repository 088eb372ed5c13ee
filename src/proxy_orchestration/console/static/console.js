// Makes the pages live; every page works without it.
(() => {
  "use strict";
  const words = document.body.dataset;
  const POLL = 1000, SLOWEST = 10000;

  // A form is sent once: a second press does nothing, and the page that comes back by "Back" is fresh.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
    if (event.submitter && !event.submitter.classList.contains("unseen")) event.submitter.append(` ${words.busy}`);
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  // How many are chosen, while they are being ticked.
  const count = (form) => {
    const boxes = [...form.querySelectorAll('input[name="mentor"]')];
    const ticked = boxes.filter((box) => box.checked).length;
    const already = boxes.filter((box) => box.defaultChecked).length;
    for (const place of form.querySelectorAll("[data-count]")) place.textContent = boxes.length ? `(${ticked})` : "";
    const total = form.querySelector("[data-total]");
    if (total) total.textContent = `${Number(form.dataset.base) - already + ticked} ${form.dataset.counts}`;
  };
  const watchCounts = () => {
    for (const form of document.querySelectorAll("form[data-counts]")) {
      if (form.querySelector("[data-count]")) count(form);
      form.addEventListener("change", () => count(form));
    }
  };

  // A running batch: what changed is put in place; once it is done the whole page is.
  const show = (page, name) => {
    const from = page.querySelector(`[data-part="${name}"]`);
    const to = document.querySelector(`[data-part="${name}"]`);
    if (from && to) to.replaceWith(from);
  };
  const tell = (id, text) => { const place = document.getElementById(id); if (place) { place.textContent = text; place.hidden = !text; } };
  const parsed = async (answer) => new DOMParser().parseFromString(await answer.text(), "text/html");
  const finish = async () => {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (!answer.ok) throw new Error("not yet");
    const page = await parsed(answer);
    document.querySelector("main").replaceWith(document.adoptNode(page.querySelector("main")));
    document.title = page.title;
    const heading = document.querySelector("main h1");
    if (heading) heading.focus();
    watchCounts();
  };
  const follow = async (live) => {
    let wait = POLL, lost = false;
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      if (document.hidden) continue;
      try {
        const address = new URL(live.dataset.live, location.href);
        address.searchParams.set("version", live.dataset.version);
        const answer = await fetch(address, { credentials: "same-origin" });
        if (answer.status === 401 || answer.status === 403 || answer.status === 404 || answer.redirected) { location.reload(); return; }
        if (!answer.ok) throw new Error(String(answer.status));
        if (lost) { lost = false; tell("connection", ""); tell("heard", words.back); }
        wait = POLL;
        if (answer.status === 204) continue;
        const page = await parsed(answer);
        if (answer.headers.get("x-settled") === "yes") { await finish(); return; }
        live.dataset.version = page.querySelector("[data-version]").dataset.version;
        const before = live.querySelector(".badge").textContent;
        show(page, "progress");
        show(page, "items");
        const after = live.querySelector(".badge").textContent;
        if (before !== after) tell("heard", after);
      } catch {
        // The server is away, or is being started anew: the batch goes on by itself, and so does this.
        lost = true;
        wait = Math.min(wait * 2, SLOWEST);
        tell("connection", words.lost);
      }
    }
  };

  watchCounts();
  const live = document.querySelector("[data-live]");
  if (live) follow(live);
})();
