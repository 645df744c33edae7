// $name and ${name} in values, as oslo.config resolves them: the own section first, then [DEFAULT]; $$ is a dollar sign.
import { BaremetalError } from "../errors.ts";

const REFERENCE = /\$(?:\$|\{([A-Za-z_][\w.]*)\}|([A-Za-z_]\w*))/g;

/**
 * `value` with its references replaced. `lookup` gives the raw value of an option, undefined if there is no such option.
 * @throws BaremetalError `BadInput` for an unknown name or a circle; `where` begins the message.
 */
export function interpolate(
  value: string,
  where: string,
  lookup: (name: string) => string | undefined,
  trail: readonly string[] = [],
): string {
  return value.replace(REFERENCE, (whole, braced?: string, bare?: string) => {
    const name = braced ?? bare;
    if (name === undefined) return "$";
    if (trail.includes(name)) {
      throw new BaremetalError(
        "BadInput",
        `${where}: ${[...trail, name].map((step) => `$${step}`).join(" -> ")} goes in a circle`,
      );
    }
    const raw = lookup(name);
    if (raw === undefined) {
      throw new BaremetalError(
        "BadInput",
        `${where}: there is no option ${name} for ${whole}; write $$ for a dollar sign`,
      );
    }
    return interpolate(raw, where, lookup, [...trail, name]);
  });
}
