"use strict";

// Renews the state of the page; the server writes it, this puts it in place. Where there is more to show than the state,
// a new version or its charts, everything is renewed.

const read = async (address) => {
  // Not relative to the page's own address, which may hold a password that fetch refuses.
  const answer = await fetch(new URL(address, location.origin), { cache: "no-store" });
  if (!answer.ok) throw new Error(`answered ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
};

const tell = (state) => {
  const word = state.querySelector("[data-news]")?.textContent ?? "";
  const news = document.getElementById("news");
  if (news.textContent !== word) news.textContent = word; // read out only when it changes
};

const renew = async () => {
  const before = document.getElementById("state");
  let lost = false;
  if (!document.hidden) {
    try {
      const now = (await read(before.dataset.address)).getElementById("state");
      if (now.dataset.edition === before.dataset.edition) {
        before.replaceWith(now);
      } else {
        const page = await read(location.pathname + location.search);
        document.querySelector("main").replaceWith(page.querySelector("main"));
      }
      tell(document.getElementById("state"));
    } catch (error) {
      lost = true;
    }
    document.getElementById("lost").hidden = !lost;
  }
  setTimeout(renew, 1000 * Number(before.dataset.seconds));
};

setTimeout(renew, 1000);
