import { formatAmount, formatExactBtc, formatNet } from "../model/amounts";
import { price } from "../state/session";
import { unit } from "../state/settings";

/** An amount in the unit that the user chose; to the satoshi for whoever points at it. */
export function Amount({ sat, net = false }: { sat: number; net?: boolean }) {
  const format = net ? formatNet : formatAmount;
  return <span title={formatExactBtc(sat)}>{format(sat, unit.value, price.value)}</span>;
}
