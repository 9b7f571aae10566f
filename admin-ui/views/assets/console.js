// Three small things that HTML alone cannot do; every page works without them.
// 1. Relative times stay true while a page is open. 2. Keys: "/" searches, up and down (or k and j) move along a table's
// rows, Enter opens. 3. The foot says whether the page is live. Refuses to decide anything.
(function () {
  "use strict";

  // The same words as `relative` in src/text.rs, counted from the server's clock, not this machine's.
  var loaded = performance.now();
  var start = Number(document.documentElement.dataset.now);

  function relative(now, at) {
    var distance = now - at, s = Math.abs(distance), span;
    if (s < 5) return "now";
    if (s < 60) span = s + " s";
    else if (s < 3600) span = Math.floor(s / 60) + " min";
    else if (s < 172800) span = Math.floor(s / 3600) + " h";
    else if (s < 63072000) span = Math.floor(s / 86400) + " d";
    else span = Math.floor(s / 31536000) + " years";
    return distance > 0 ? span + " ago" : "in " + span;
  }

  function refresh() {
    var now = start + Math.floor((performance.now() - loaded) / 1000);
    document.querySelectorAll(".ago[data-at]").forEach(function (element) {
      var text = relative(now, Number(element.dataset.at));
      if (element.textContent !== text) element.textContent = text;
    });
  }

  if (start > 0) setInterval(refresh, 5000);

  document.addEventListener("keydown", function (event) {
    var here = document.activeElement;
    var typing = here && /^(INPUT|SELECT|TEXTAREA)$/.test(here.tagName);
    if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
    if (event.key === "/") {
      var search = document.getElementById("search");
      if (search) { search.focus(); search.select(); event.preventDefault(); }
      return;
    }
    var down = event.key === "j" || event.key === "ArrowDown";
    var up = event.key === "k" || event.key === "ArrowUp";
    if (!down && !up) return;
    var row = here && here.closest && here.closest("tr");
    if (!row && (event.key === "ArrowDown" || event.key === "ArrowUp")) return;
    var links = Array.from(document.querySelectorAll("main tbody tr")).map(function (each) { return each.querySelector("a"); }).filter(Boolean);
    if (!links.length) return;
    var place = row ? links.indexOf(row.querySelector("a")) : -1;
    var next = links[Math.max(0, Math.min(links.length - 1, place + (down ? 1 : -1)))];
    if (next) { next.focus(); event.preventDefault(); }
  });

  function say(text) {
    var element = document.getElementById("live-state");
    if (element) element.textContent = text;
  }
  document.addEventListener("htmx:sseOpen", function () { say("Live: this page follows the fleet."); });
  document.addEventListener("htmx:sseError", function () { say("Not live: the console does not answer. What you see may be old."); });

  // Signed out, or an error: the answer has no such fragment. Show it whole rather than an empty place.
  document.addEventListener("htmx:beforeSwap", function (event) {
    var detail = event.detail;
    if (detail.target && detail.target.id === "live" && detail.serverResponse.indexOf("id=\"live\"") < 0) {
      detail.shouldSwap = false;
      say("Not live: sign in again, or reload the page.");
    }
  });
  document.addEventListener("htmx:afterSettle", refresh);
})();
