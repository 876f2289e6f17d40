// What somebody who runs the service should know of it, and what to do.
import type { Coverage, Status } from "../api/types";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatInstant,
  formatMilliseconds,
  formatShare,
} from "./amounts";
import { numberIn, textIn, textsIn, truthIn } from "./fields";
import { readQueues, share } from "./vitals";

export interface Finding {
  readonly kind: "bad" | "warn" | "note";
  readonly title: string;
  readonly text: string;
  /** What to do about it; a command stands in backticks. */
  readonly todo: string;
}

/** chosen: from here on a burst may fill what is left. */
const NEARLY_FULL = 0.8;
/** As `hydrophone doctor` has it: months of growth, and a checkpoint needs room beside the file. */
const LOW_DISK_BYTES = 1e9;
const MOST_FILES = 0.9;
/** As there: a few odd messages are the source's own business. */
const MALFORMED_NOTED = 10;
/** chosen: exchanges move their wallets within months. */
const OLD_DAYS = 180;
/** chosen: alerts are meant to be out within a second. */
const SLOW_MS = 1_000;
/** chosen: below a fiftieth of the time, figures of the rest are nearly those of all. */
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
    ...ofMemory(status),
    ...ofStorage(status),
    ...ofFiles(status),
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
      kind: malformed > MALFORMED_NOTED ? "warn" : "note",
      title: `${formatCount(malformed)} ${malformed === 1 ? "message" : "messages"} could not be read`,
      text: newest === undefined ? "They were set aside; each counts as a gap." : `The newest: ${newest}.`,
      todo: "Probably the backend is of another version. The messages are set aside with their reason: please report one.",
    });
  }
  if (status.simulated) {
    found.push({
      kind: "note",
      title: "The mempool is simulated",
      text: "What is heard now did not move on the network.",
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
      title: `${formatCount(refused)} ${refused === 1 ? "question" : "questions"} to the source ${refused === 1 ? "was" : "were"} not asked`,
      text: "Too many were under way. Why whales vanish, and what old blocks hold, is asked by REST.",
      todo: "See that the REST of the backend answers, or name another: `source.rest_url`.",
    },
  ];
}

function ofQueues(status: Status): Finding[] {
  return readQueues(status).flatMap(({ words, waiting, highWater, capacity, fullForS }): Finding[] => {
    const of = `${formatCount(waiting)} of ${formatCount(capacity)}`;
    if (fullForS !== null || share(waiting, capacity) >= NEARLY_FULL) {
      const since = fullForS === null ? "" : `, for ${formatDuration(fullForS)} now`;
      return [
        {
          kind: "bad",
          title: `Nearly full: ${words}`,
          text: `${of}${since}: more comes in than is dealt with.`,
          todo: "Look for what else loads this machine, above all its disk; alerts may be late until it is over.",
        },
      ];
    }
    if (share(highWater, capacity) >= NEARLY_FULL) {
      return [
        {
          kind: "note",
          title: `Was nearly full once: ${words}`,
          text: `${formatCount(highWater)} of ${formatCount(capacity)} at worst since the start.`,
          todo: "Nothing now. If it comes again, this machine is too slow or too busy.",
        },
      ];
    }
    return [];
  });
}

function ofMemory({ memory }: Status): Finding[] {
  const short = numberIn(memory, "short_for_s");
  const times = numberIn(memory, "times_short") ?? 0;
  const used = `${formatCount(numberIn(memory, "rss_mb") ?? 0)} MB of ${formatCount(numberIn(memory, "shed_mb") ?? 0)}`;
  const todo =
    "If the machine has more, raise `memory.shed_mb`; docs/operations.md, Memory, says what is let go.";
  if (short !== null) {
    return [
      {
        kind: "bad",
        title: `Short of memory for ${formatDuration(short)}`,
        text: `${used}. Caches and slow subscribers are let go, no prediction is.`,
        todo,
      },
    ];
  }
  if (times === 0) return [];
  const title =
    times === 1 ? "It was short of memory once" : `It was short of memory ${formatCount(times)} times`;
  return [{ kind: "note", title, text: `Now ${used} since the start.`, todo }];
}

function ofStorage({ storage }: Status): Finding[] {
  const free = numberIn(storage, "free_bytes");
  const size = numberIn(storage, "file_bytes");
  if (free === null || (free >= LOW_DISK_BYTES && (size === null || free >= size))) return [];
  const isFull = free < LOW_DISK_BYTES;
  return [
    {
      kind: isFull ? "bad" : "warn",
      title: `Only ${formatBytes(free)} are free on the disk`,
      text: `The database takes ${size === null ? "an unknown size" : formatBytes(size)}.${isFull ? " When the disk is full nothing is published." : " It may double before old history goes."}`,
      todo: "Make room, or keep history for less long: `store.retention_days`.",
    },
  ];
}

function ofFiles({ process }: Status): Finding[] {
  const [used, limit] = [numberIn(process, "open_files"), numberIn(process, "file_limit")];
  if (used === null || limit === null || used <= MOST_FILES * limit) return [];
  return [
    {
      kind: "bad",
      title: "Open files are running out",
      text: `${formatCount(used)} of ${formatCount(limit)} are open.`,
      todo: "Raise the limit (`LimitNOFILE=`, `ulimit -n`), or lower `alerts.max_clients`.",
    },
  ];
}

function ofLatency({ latency }: Status): Finding[] {
  return Object.entries(latency.received_to_published_ms).flatMap(([source, { n, p99 }]): Finding[] =>
    p99 !== null && p99 !== undefined && p99 > SLOW_MS
      ? [
          {
            kind: "warn",
            title: `One alert in a hundred takes ${formatMilliseconds(p99)} or longer`,
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
