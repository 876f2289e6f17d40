const WIDTH = 120;
const HEIGHT = 28;
const PAD = 2;

/** A small line without axes: how a figure went. What it is now stands beside it. */
export function Sparkline(props: { name: string; values: readonly number[]; most?: number }) {
  const { values } = props;
  if (values.length < 2) return <span class="sparkline-wait">from now on</span>;
  const most = Math.max(props.most ?? 0, ...values);
  const least = props.most === undefined ? Math.min(...values) : 0;
  const height = most - least;
  const points = values.map((value, place) => {
    const x = (place / (values.length - 1)) * WIDTH;
    const y = height === 0 ? HEIGHT / 2 : HEIGHT - PAD - ((value - least) / height) * (HEIGHT - 2 * PAD);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  return (
    <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img">
      <title>{props.name}</title>
      <polygon points={`0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`} class="sparkline-area" />
      <polyline points={points.join(" ")} class="sparkline-line" />
    </svg>
  );
}
