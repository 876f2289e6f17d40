/** A share of the whole as a bar; the number stands beside it, so this is for the eye alone. */
export function ShareBar({ share, mark, tone = "accent" }: { share: number; mark?: number; tone?: string }) {
  return (
    <span class={`share share-${tone}`} aria-hidden="true">
      {share > 0 && <i style={{ width: `${percent(share)}%` }} />}
      {mark !== undefined && <b style={{ left: `${percent(mark)}%` }} />}
    </span>
  );
}

function percent(share: number): number {
  return Math.min(Math.max(share, 0), 1) * 100;
}
