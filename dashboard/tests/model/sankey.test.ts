import { describe, expect, it } from "vitest";
import { type Band, draw, inputBands, MOST_BANDS, outline, outputBands } from "../../src/model/sankey";
import { explanationOf, inputOf, labelOf, outputOf } from "../explanations";

const MANY = 41;
const many = Array.from({ length: MANY }, (_, index) => inputOf(index, 1_000 + index));
const total = (bands: readonly Band[]) => bands.reduce((sum, { sat }) => sum + (sat ?? 0), 0);

describe("bands", () => {
  it("have both sides sum to the same satoshis, the fee counted", () => {
    const said = explanationOf();
    expect(total(inputBands(said))).toBe(100);
    expect(total(outputBands(said))).toBe(100);
  });

  it("lose no satoshi and no input to grouping", () => {
    const said = explanationOf({ inputs: many });
    const bands = inputBands(said);
    expect(bands).toHaveLength(MOST_BANDS);
    expect(total(bands)).toBe(many.reduce((sum, input) => sum + (input.value_sat ?? 0), 0));
    expect(bands.reduce((sum, { count }) => sum + count, 0)).toBe(MANY);
    expect(bands.at(-1)).toMatchObject({
      key: "rest",
      count: MANY - MOST_BANDS + 1,
      entity: null,
      address: null,
    });
  });

  it("show what a label names however small it is", () => {
    const said = explanationOf({ inputs: many, labels: [labelOf("input", 0)] });
    expect(inputBands(said)[0]).toMatchObject({ kind: "known", entity: "Binance", role: "hot", sat: 1_000 });
  });

  it("name the rest if all of it is of one entity", () => {
    const labels = many.map((input) => labelOf("input", input.index, { role: "deposit" }));
    const said = explanationOf({ inputs: many, labels });
    expect(inputBands(said).at(-1)).toMatchObject({ key: "rest", kind: "known", entity: "Binance" });
  });

  it("are one for coins of one script", () => {
    const said = explanationOf({ inputs: [inputOf(0, 40, "same"), inputOf(1, 60, "same")] });
    expect(inputBands(said)).toMatchObject([{ count: 2, sat: 100 }]);
  });

  it("prefer the claim that gives a direction", () => {
    const labels = [labelOf("output", 0, { entity: "Other", gives_direction: false }), labelOf("output", 0)];
    expect(outputBands(explanationOf({ labels }))[0]).toMatchObject({ entity: "Binance" });
  });

  it("tell change from payment, and have the fee last", () => {
    const labels = [labelOf("output", 1)];
    const kinds = outputBands(explanationOf({ labels })).map(({ kind }) => kind);
    expect(kinds).toEqual(["change", "nobody", "fee"]);
  });

  it("have no fee where nobody told it, and no change where nobody can tell", () => {
    const said = explanationOf({ fee_sat: null, outputs: [outputOf(0, 99, null)] });
    expect(outputBands(said)).toMatchObject([{ kind: "nobody", change: null }]);
  });
});

describe("a drawing", () => {
  const drawn = (change: Parameters<typeof explanationOf>[0] = {}) => {
    const said = explanationOf(change);
    return draw(inputBands(said), outputBands(said));
  };
  const inner = (bands: ReturnType<typeof drawn>["inputs"]) =>
    bands.reduce((sum, band) => sum + band.inner.height, 0);

  it("fills the middle from both sides, in proportion", () => {
    const { inputs, outputs, middle } = drawn();
    expect(inner(inputs)).toBeCloseTo(middle.height);
    expect(inner(outputs)).toBeCloseTo(middle.height);
    const [paid, back] = [outputs.find(({ sat }) => sat === 60), outputs.find(({ sat }) => sat === 39)];
    expect((paid?.inner.height ?? 0) / (back?.inner.height ?? 1)).toBeCloseTo(60 / 39);
  });

  it("gives every label its own place", () => {
    const { inputs, height } = drawn({ inputs: many });
    const ends = inputs.map(({ top, height: own }) => [top, top + own] as const);
    for (const [index, [top]] of ends.entries()) expect(top).toBeCloseTo(ends[index - 1]?.[1] ?? 0);
    expect(ends.at(-1)?.[1]).toBeCloseTo(height);
  });

  it("lets inputs whose worth nobody told share what is missing", () => {
    const { inputs, middle } = drawn({ inputs: [inputOf(0, 20), inputOf(1, null), inputOf(2, null)] });
    expect(inner(inputs)).toBeCloseTo(middle.height);
    expect(inputs.filter(({ sat }) => sat === null).map((band) => band.inner.height / middle.height)).toEqual(
      [0.4, 0.4],
    );
  });

  it("stands although nothing is worth anything", () => {
    const { height, inputs } = drawn({ inputs: [inputOf(0, 0)], outputs: [outputOf(0, 0)], fee_sat: 0 });
    expect(height).toBeGreaterThan(0);
    expect(inputs[0]?.outer.height).toBeGreaterThan(0);
  });

  it("outlines each band from its label to the middle", () => {
    const [band] = drawn().inputs;
    if (band === undefined) throw new Error("there is an input");
    expect(outline(band, 0, 97)).toMatch(/^M0 [\d.]+C48\.5 .+ 97 [\d.]+V[\d.]+C.+ 0 [\d.]+Z$/);
  });
});
