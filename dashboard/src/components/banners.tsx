// What must not be overlooked: that none of it is real, and that we do not hear, since when, and why.
import { effect, signal } from "@preact/signals";
import { formatInstant } from "../model/amounts";
import { connection, isReady, isResyncing, simulated, streamState } from "../state/session";
import { Alert } from "./icons";

const GOOD_NEWS_MS = 15_000; // chosen: long enough to be read, too short to be in the way
/** So long a lost connection is none yet: a reload of the service is not news. */
const GRACE_MS = 1_500;

type Sight = { kind: "degraded" | "lost" | "again"; title: string; text: string };

const isLost = signal(false);
/** Good news, until it has been read: whales are heard again, or only this page is told of them again. */
const goodNews = signal<"heard" | "connected" | null>(null);
let lostTimer = 0;
let newsTimer = 0;
let wasAway = false;
let wasDeaf = false;

effect(() => {
  const isGone = streamState.value === "lost" || streamState.value === "resuming";
  if (!isGone) {
    clearTimeout(lostTimer);
    lostTimer = 0;
    isLost.value = false;
  } else if (lostTimer === 0) {
    lostTimer = window.setTimeout(() => {
      isLost.value = true;
    }, GRACE_MS);
  }
});

effect(() => {
  const isDeaf = connection.value?.mempool_available === false;
  if (isLost.value || isDeaf) {
    wasAway = true;
    wasDeaf ||= isDeaf;
    goodNews.value = null;
  } else if (wasAway && streamState.value === "live") {
    // Not before it answers: that it is being tried again is no news.
    goodNews.value = wasDeaf ? "heard" : "connected";
    wasAway = false;
    wasDeaf = false;
    clearTimeout(newsTimer);
    newsTimer = window.setTimeout(() => {
      goodNews.value = null;
    }, GOOD_NEWS_MS);
  }
});

function sight(): Sight | null {
  if (isLost.value) {
    return {
      kind: "lost",
      title: "Disconnected",
      text: "Hydrophone itself does not answer. What you see is as it was; trying again.",
    };
  }
  const said = connection.value;
  if (said?.status === "degraded") {
    const [title = "", ...why] = said.message.split(": ");
    return {
      kind: "degraded",
      title: `${title}${sinceOf(said.since)}`,
      text: `${sentence(why.join(": "))}${said.blocks_followed === true ? " Whales found in them appear as confirmed." : ""}`,
    };
  }
  if (said?.status === "disconnected") {
    return { kind: "lost", title: `The mempool is not heard${sinceOf(said.since)}`, text: said.message };
  }
  if (goodNews.value !== null) {
    const title = goodNews.value === "heard" ? "The mempool is heard again" : "Connected again";
    return { kind: "again", title, text: said?.message ?? "" };
  }
  return null;
}

function sinceOf(since: string | null | undefined): string {
  return since ? `, since ${formatInstant(Date.parse(since))}` : "";
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

export function Banners() {
  const seen = sight();
  return (
    <>
      {simulated.value && (
        <p class="ribbon" data-testid="simulated">
          <strong>SIMULATED</strong>{" "}
          <span>these transactions come from a simulation, not from the network</span>
        </p>
      )}
      <div role="status" class="sights">
        {seen !== null && (
          <section class={`sight sight-${seen.kind}`} data-testid="sight">
            <Alert />
            <div>
              <strong>{seen.title}</strong>
              <p>{seen.text}</p>
            </div>
          </section>
        )}
        {isResyncing.value && (
          <section class="sight sight-resync" data-testid="resync">
            <span class="sonar" aria-hidden="true" />
            <div>
              <strong>Reading everything anew</strong>
              <p>What was said while this page was away is not to be had message by message.</p>
            </div>
          </section>
        )}
      </div>
      {isReady.value && <span class="unseen" data-testid="ready" />}
    </>
  );
}
