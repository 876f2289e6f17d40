// What somebody who runs the service should know of it, and what to do.
import type { Coverage, Status } from "../api/types";
import { formatCount, formatDuration, formatInstant, formatShare } from "./amounts";
import { numberIn, textIn, textsIn, truthIn } from "./fields";
import { readQueues, share } from "./vitals";

export interface Finding {
  readonly kind: "bad" | "warn" | "note";
  readonly title: string;
  readonly text: string;
  /** What to do about it; a command stands in backticks. */
  readonly todo: string;
}

/** # chosen: from here on a burst may fill what is left. */
const NEARLY_FULL = 0.8;
/** # chosen: exchanges move their wallets within months. */
const OLD_DAYS = 180;
/** # chosen: alerts are meant to be out within a second. */
const SLOW_MS = 1_000;
/** # chosen: below a fiftieth of the time, figures of the rest are nearly those of all. */
const BLIND_SHARE = 0.02;
const KINDS = ["bad", "warn", "note"] as const;

export interface Observed {
  readonly status: Status;
  readonly coverage: Coverage | null;
  /** Tokens that are over; null: this reader may not ask. */
  readonly expiredTokens: number | null;
}

/** All findings, the worst first. */
export function findingsOf({ status, coverage, expiredTokens }: Observed): Finding[] {
  const found = [
    ...ofSource(status),
    ...ofQueues(status),
    ...ofLatency(status),
    ...ofAccuracy(status),
    ...ofBlindness(status),
    ...ofAlerts(status),
    ...ofLabels(status, coverage),
    ...ofTokens(expiredTokens),
  ];
  return found.sort((one, other) => KINDS.indexOf(one.kind) - KINDS.indexOf(other.kind));
}

function ofSource(status: Status): Finding[] {
  const found = [...ofSilence(status), ...ofRefusals(status)];
  const malformed = numberIn(status.source, "malformed") ?? 0;
  if (malformed > 0) {
    const newest = textsIn(status.source, "malformed_newest").at(-1);
    found.push({
      kind: "warn",
      title: `${formatCount(malformed)} ${malformed === 1 ? "message" : "messages"} could not be read`,
      text: newest === undefined ? "They were set aside; each counts as a gap." : `The newest: ${newest}.`,
      todo: "Probably the backend is of another version. The messages are set aside with their reason: please report one.",
    });
  }
  if (status.simulated) {
    found.push({
      kind: "note",
      title: "The mempool is simulated",
      text: "Nothing that is shown moved on the network.",
      todo: "For real whales: `hydrophone run` with a mempool.space backend.",
    });
  }
  return found;
}

function ofSilence({ source }: Status): Finding[] {
  if (truthIn(source, "mempool_available") !== false) return [];
  const since = textIn(source, "unheard_since");
  const meanwhile =
    truthIn(source, "blocks_followed") === true
      ? "Blocks are still followed: whales appear as confirmed, not predicted."
      : "No whale can be predicted meanwhile.";
  return [
    {
      kind: "bad",
      title: `The mempool is not heard${since === null ? "" : ` since ${formatInstant(Date.parse(since))}`}`,
      text: `${textIn(source, "message") ?? "The source does not answer."} ${meanwhile}`,
      todo: "See that the mempool backend and its node run and that the address of the source is right; Hydrophone reconnects by itself.",
    },
  ];
}

function ofRefusals({ source }: Status): Finding[] {
  const refused = numberIn(source, "lookups_refused") ?? 0;
  if (refused === 0) return [];
  return [
    {
      kind: "warn",
      title: `The source refused ${formatCount(refused)} ${refused === 1 ? "question" : "questions"}`,
      text: "Why whales vanish, and what old blocks hold, is asked by REST.",
      todo: "If it is a shared service, ask your own backend instead: `hydrophone run --source ws://localhost:8999/api/v1/ws`.",
    },
  ];
}

function ofQueues(status: Status): Finding[] {
  return readQueues(status).flatMap(({ name, waiting, highWater, capacity }): Finding[] => {
    if (share(waiting, capacity) >= NEARLY_FULL) {
      return [
        {
          kind: "bad",
          title: `The queue “${name}” is nearly full`,
          text: `${formatCount(waiting)} of ${formatCount(capacity)} wait: more comes in than is dealt with.`,
          todo: "Look for what else loads this machine, above all its disk; alerts are late until it is over.",
        },
      ];
    }
    if (share(highWater, capacity) >= NEARLY_FULL) {
      return [
        {
          kind: "warn",
          title: `The queue “${name}” was nearly full`,
          text: `${formatCount(highWater)} of ${formatCount(capacity)} waited at worst since the start.`,
          todo: "Nothing now. If it comes again, this machine is too slow or too busy for the mempool.",
        },
      ];
    }
    return [];
  });
}

function ofLatency({ latency }: Status): Finding[] {
  return Object.entries(latency.received_to_published_ms).flatMap(([source, { n, p99 }]): Finding[] =>
    p99 !== null && p99 !== undefined && p99 > SLOW_MS
      ? [
          {
            kind: "warn",
            title: `One alert in a hundred takes ${formatDuration(p99 / 1000)} or longer`,
            text: `From the frame of ${source} to the subscribers, of the newest ${formatCount(n)} whales.`,
            todo: "Look for what else loads this machine; a burst after the start counts too, and passes.",
          },
        ]
      : [],
  );
}

function ofAccuracy({ accuracy }: Status): Finding[] {
  if (truthIn(accuracy, "low") !== true) return [];
  const met = numberIn(accuracy, "within_p90");
  const n = formatCount(numberIn(accuracy, "n") ?? 0);
  return [
    {
      kind: "warn",
      title: "Fewer confirmations than promised come within P90",
      text: `${met === null ? "Too few" : formatShare(met)} of the last ${numberIn(accuracy, "window_h") ?? "?"} hours' (n = ${n}); ${numberIn(accuracy, "threshold_percent") ?? "?"} % is where this is said.`,
      todo: "Take minutes with care until it is over; the page Record shows where forecasts and outcomes part.",
    },
  ];
}

function ofBlindness({ blindness }: Status): Finding[] {
  const blind = numberIn(blindness, "blind_share");
  if (blind === null || blind < BLIND_SHARE) return [];
  const days = formatDuration(numberIn(blindness, "period_s") ?? 0);
  return [
    {
      kind: "note",
      title: `Blind for ${formatShare(blind, 1)} of the last ${days}`,
      text: "Whales of that time were not heard, or late.",
      todo: "The page Record lists when and why. Time in which Hydrophone was not running counts.",
    },
  ];
}

function ofAlerts({ alerts }: Status): Finding[] {
  const dropped = numberIn(alerts, "dropped") ?? 0;
  const kicked = numberIn(alerts, "kicked") ?? 0;
  if (dropped + kicked === 0) return [];
  return [
    {
      kind: "note",
      title: "Some subscribers are too slow",
      text: `${formatCount(dropped)} messages were left out for them, ${formatCount(kicked)} connections were closed, since the start.`,
      todo: "They were told `lagged`, and get what they missed when they subscribe again with `since`.",
    },
  ];
}

function ofLabels({ labels, label_age }: Status, coverage: Coverage | null): Finding[] {
  if ((numberIn(labels, "claims") ?? 0) === 0) {
    return [
      {
        kind: "warn",
        title: "There are no labels",
        text: "Without a claim of whose an address is, no payment has a direction.",
        todo: "Fetch a published list: `hydrophone labels sync` says which there are.",
      },
    ];
  }
  const found: Finding[] = [];
  const age = label_age.newest_age_days;
  if (age !== null && age > OLD_DAYS) {
    found.push({
      kind: "warn",
      title: `The newest label is ${formatCount(age)} days old`,
      text: "Exchanges move to new wallets; payments to those have no direction.",
      todo: "Fetch a newer list: `hydrophone labels sync`, or add your own with `hydrophone labels import FILE`.",
    });
  }
  if (coverage !== null && coverage.disputed > 0) {
    found.push({
      kind: "note",
      title: `${formatCount(coverage.disputed)} labelled addresses are disputed`,
      text: "Sources disagree about whose they are; on those no direction is said.",
      todo: "See who says what: `hydrophone labels lookup ADDRESS`.",
    });
  }
  return found;
}

function ofTokens(expired: number | null): Finding[] {
  if (expired === null || expired === 0) return [];
  return [
    {
      kind: "note",
      title: expired === 1 ? "A token has expired" : `${formatCount(expired)} tokens have expired`,
      text: "Whoever shows one is refused.",
      todo: "Make a new one with `hydrophone token create`, or revoke the old: `hydrophone token revoke ID`.",
    },
  ];
}
