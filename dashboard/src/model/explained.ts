// What an explanation says, in words: the figures are the service's, nothing is judged a second time.
import type { Explanation } from "../api/types";
import { formatCount, formatShare } from "./amounts";
import { FLOWS, type Flow } from "./whale";

type Claim = Explanation["labels"][number];

export const SUBTYPES: Readonly<Record<string, string>> = {
  interexchange: "from one exchange to another",
  mixed: "several directions at once",
  coinjoin: "a coinjoin: several owners mix their coins",
  sweep: "a sweep: an exchange gathers what customers paid in before",
  cold_to_hot: "from cold storage to a hot wallet",
  hot_to_cold: "from a hot wallet to cold storage",
  batch_withdrawal: "many withdrawals at once",
  consolidation: "a consolidation: one coin is made of many",
};

const SHAPES: Readonly<Record<string, string>> = {
  coinjoin_wabisabi: "a coinjoin as Wasabi 2 makes them",
  coinjoin_wasabi_1: "a coinjoin as Wasabi 1 makes them",
  coinjoin_whirlpool: "a coinjoin as Whirlpool makes them",
  coinjoin_joinmarket: "perhaps a coinjoin of JoinMarket: two equal payments and change look alike",
  batch: "a batch: many payments out of few scripts",
  consolidation: "a consolidation: one coin is made of many",
};

const BASES: Readonly<Record<string, string>> = {
  pays_many: "an exchange\u2019s wallet pays a batch, or more than two others",
  pays_few: "an exchange\u2019s wallet pays one or two scripts nobody knows",
  leaves_cold: "coins leave cold storage, which pays no customers",
  leaves_deposit: "coins leave a deposit script, where an exchange gathers them",
  pays_deposit: "a deposit script is paid, as customers do",
  pays_wallet_several: "several scripts nobody knows pay an exchange\u2019s wallet",
  pays_wallet_one: "one script nobody knows pays an exchange\u2019s wallet",
  pays_wallet_reused: "several coins of one script nobody knows pay an exchange\u2019s wallet",
  pays_learned: "a wallet is paid that only we learned to know",
  pays_cold: "cold storage is paid, where customers do not pay in",
  both_sides: "both sides are known, or it is a sweep",
};

const VOTES: Readonly<Record<string, string>> = {
  round_payment: "every other amount is round",
  optimal_change: "as a payment it would not have needed all inputs",
  script_type: "no other has the script type of the inputs",
};

const SIGNS: Readonly<Record<string, string>> = {
  batch: "a batch",
  many_outputs: "25 payments or more",
  consolidation: "a consolidation",
  round_total: "a round total",
  coinjoin: "a coinjoin",
};

/** Names of a later service are shown as they are. */
function inWords(words: Readonly<Record<string, string>>, name: string): string {
  return words[name] ?? name.replaceAll("_", " ");
}

export const describeVote = (name: string) => inWords(VOTES, name);
export const describeSign = (name: string) => inWords(SIGNS, name);
export const describeSubtype = (name: string) => inWords(SUBTYPES, name);

export interface Direction {
  readonly flow: Flow;
  /** What labels say; null: without what the inputs are worth nobody can say. */
  readonly share: number | null;
  /** How likely that answer is right, after calibration. */
  readonly probability: number;
  readonly basis: { readonly words: string; readonly right: number; readonly n: number } | null;
}

/** What spoke for which direction. */
export function directionsOf({ shares, probabilities, basis }: Explanation): Direction[] {
  return FLOWS.map((flow) => {
    const found = basis?.[flow] as { basis: string; right: number; n: number } | undefined;
    return {
      flow,
      share: shares === null ? null : Number(shares[flow] ?? 0),
      probability: Number(probabilities[flow] ?? 0),
      basis:
        found === undefined ? null : { words: inWords(BASES, found.basis), right: found.right, n: found.n },
    };
  });
}

/** Why the answer is what it is, a sentence each. */
export function reasonsOf(said: Explanation): string[] {
  const reasons: string[] = [];
  if (said.flow_reason !== null) reasons.push(`No direction is claimed: ${said.flow_reason}.`);
  if (said.shares === null) {
    const { prevouts_known: known, inputs } = said;
    reasons.push(
      `What ${formatCount(inputs.length - known)} of ${formatCount(inputs.length)} inputs are worth was not told, so nobody can tell a payment from change: all of the value counts as moved.`,
    );
    return reasons;
  }
  const best = bestOf(directionsOf(said), said.bars.share);
  if (best?.basis) {
    reasons.push(
      `By labels ${formatShare(best.share ?? 0)} of what is paid is ${best.flow}; an answer needs ${formatShare(said.bars.share)}.`,
      `That rests on this: ${best.basis.words}.`,
      `In simulated worlds ${formatCount(best.basis.right)} of ${formatCount(best.basis.n)} such answers were right.`,
    );
    if (said.flow_type === "unknown") {
      reasons.push(
        `So it is ${formatShare(best.probability)} likely; what is below ${formatShare(said.bars.probability)} is not said.`,
      );
    }
  }
  reasons.push(`It looks like ${looksOf(said).join("; ")}.`);
  if (said.looks?.swept_by) {
    reasons.push(`What customers of ${said.looks.swept_by} paid in goes to its own wallets.`);
  }
  return reasons;
}

/** The direction that labels speak for, if they say enough. */
function bestOf(directions: readonly Direction[], bar: number): Direction | null {
  const [best] = [...directions].sort((one, other) => (other.share ?? 0) - (one.share ?? 0));
  return best !== undefined && (best.share ?? 0) >= bar ? best : null;
}

function looksOf({ shape, looks }: Explanation): string[] {
  const found = [shape === null ? "an ordinary payment" : inWords(SHAPES, shape)];
  if (looks?.is_gathering) found.push("five or more scripts, each used once, are paid into one");
  if (looks?.has_spare_input) found.push("an input was not needed to pay");
  if (looks?.has_round_total) found.push("a round total");
  return found;
}

export interface Claimed {
  readonly label: Claim;
  /** The scripts it is claimed of, and where each is: `input 0`. */
  readonly scripts: readonly { readonly address: string; readonly places: readonly string[] }[];
}

/** Claims by what is claimed and who says so: a sweep has forty scripts of one. */
export function claimsOf({ labels }: Explanation): Claimed[] {
  const found = new Map<string, { label: Claim; scripts: { address: string; places: string[] }[] }>();
  for (const label of labels) {
    const { entity, kind, role, confidence, source, source_url: url, citation, as_of: asOf } = label;
    const { disputed, why_not: whyNot, learned } = label;
    const key = JSON.stringify([
      entity,
      kind,
      role,
      confidence,
      source,
      url,
      citation,
      asOf,
      disputed,
      whyNot,
      learned,
    ]);
    const claim = found.get(key) ?? { label, scripts: [] };
    found.set(key, claim);
    const address = label.address ?? label.script;
    const place = `${label.side} ${label.index}`;
    const script = claim.scripts.find((known) => known.address === address);
    if (script === undefined) claim.scripts.push({ address, places: [place] });
    else script.places.push(place);
  }
  return [...found.values()];
}

/** Why no vote was cast, the votes of one reason together. */
export function silencesOf({ change }: Explanation): { votes: string; why: string }[] {
  const found = new Map<string, string[]>();
  for (const { vote, why } of change?.silent ?? []) found.set(why, [...(found.get(why) ?? []), vote]);
  return [...found].map(([why, votes]) => ({
    votes: votes.map((vote) => vote.replaceAll("_", " ")).join(", "),
    why,
  }));
}

/** An address of a source that a link may have: it comes from a label file. */
export function webAddress(text: string): string | null {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) ? text : null;
}
