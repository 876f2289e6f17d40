import { describe, expect, it } from "vitest";
import {
  claimsOf,
  describeVote,
  directionsOf,
  reasonsOf,
  silencesOf,
  webAddress,
} from "../../src/model/explained";
import { explanationOf, inputOf, labelOf } from "../explanations";

describe("reasons", () => {
  it("say what labels say, what that rests on, and how often it was right", () => {
    expect(reasonsOf(explanationOf())).toEqual([
      "By labels 80 % of what is paid is outflow; an answer needs 60 %.",
      "That rests on this: an exchange\u2019s wallet pays one or two scripts nobody knows.",
      "In simulated worlds 17,405 of 24,579 such answers were right.",
      "It looks like an ordinary payment.",
    ]);
  });

  it("say why a direction that labels speak for is not claimed", () => {
    const said = explanationOf({
      flow_type: "unknown",
      flow_reason: "too unsure",
      probabilities: { outflow: 0.4 },
    });
    expect(reasonsOf(said)).toContain("No direction is claimed: too unsure.");
    expect(reasonsOf(said)).toContain("So it is 40 % likely; what is below 50 % is not said.");
  });

  it("claim nothing where labels say too little", () => {
    const said = explanationOf({ shares: { inflow: 0.3, outflow: 0.3, unknown: 0.4 } });
    expect(reasonsOf(said)).toEqual(["It looks like an ordinary payment."]);
  });

  it("say that nobody can tell without what inputs are worth", () => {
    const said = explanationOf({
      shares: null,
      basis: null,
      looks: null,
      prevouts_known: 1,
      inputs: [inputOf(0, 1), inputOf(1, null)],
    });
    expect(reasonsOf(said).at(-1)).toMatch(/^What 1 of 2 inputs are worth was not told/);
    expect(directionsOf(said).every(({ share, basis }) => share === null && basis === null)).toBe(true);
  });

  it("name what it looks like", () => {
    const looks = {
      is_coinjoin: false,
      is_gathering: true,
      has_spare_input: true,
      has_round_total: true,
      swept_by: "Kraken",
    };
    const said = reasonsOf(explanationOf({ shape: "consolidation", looks }));
    expect(said.at(-2)).toMatch(/^It looks like a consolidation.+five or more.+not needed.+round total\.$/);
    expect(said.at(-1)).toBe("What customers of Kraken paid in goes to its own wallets.");
  });

  it("show names of a later service as they are", () => {
    expect(describeVote("new_vote")).toBe("new vote");
    expect(reasonsOf(explanationOf({ shape: "new_shape" })).at(-1)).toBe("It looks like new shape.");
  });
});

describe("claims", () => {
  it("are one for all scripts of which the same is said", () => {
    const labels = [
      labelOf("input", 0),
      labelOf("input", 1),
      labelOf("output", 0, { script: "in0" }),
      labelOf("output", 1, { role: "cold" }),
    ];
    const claims = claimsOf(explanationOf({ labels }));
    expect(claims.map(({ label, scripts }) => [label.role, scripts])).toEqual([
      [
        "hot",
        [
          { address: "in0", places: ["input 0", "output 0"] },
          { address: "in1", places: ["input 1"] },
        ],
      ],
      ["cold", [{ address: "out1", places: ["output 1"] }]],
    ]);
  });

  it("link nowhere but to the web", () => {
    expect(webAddress("https://example.org/list")).toBe("https://example.org/list");
    expect(webAddress("javascript:alert(1)")).toBeNull();
    expect(webAddress("data:text/html,x")).toBeNull();
    expect(webAddress("")).toBeNull();
  });
});

describe("silent votes", () => {
  it("stand together where the reason is the same", () => {
    const silent = [
      { vote: "round_payment", why: "one input" },
      { vote: "script_type", why: "one input" },
      { vote: "optimal_change", why: "an exchange" },
    ];
    const change = { no_change_prior: 0.5, vote_discount: 0.7, returned: [], silent };
    expect(silencesOf(explanationOf({ change }))).toEqual([
      { votes: "round payment, script type", why: "one input" },
      { votes: "optimal change", why: "an exchange" },
    ]);
    expect(silencesOf(explanationOf())).toEqual([]);
  });
});
