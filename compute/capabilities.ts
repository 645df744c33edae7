// ComputeCapabilitiesFilter of the original (facts section 11): a flavor's extra specs against a node's statistics.

const NUMERIC = new Set(["=", "==", "!=", ">=", "<="]);
const TEXTUAL = new Set(["s==", "s!=", "s<", "s<=", "s>", "s>="]);

/**
 * True if `value` meets `requirement`: a plain string means equality; or an operator first, `=` (at least), `==`, `!=`,
 * `>=`, `<=` on numbers, `s==`, `s!=`, `s<`, `s<=`, `s>`, `s>=` on strings, `<in>` substring, `<or> a <or> b` any of.
 */
export function meetsRequirement(value: string, requirement: string): boolean {
  const words = requirement.trim().split(/\s+/);
  const operator = words[0] ?? "";
  if (operator === "<or>") return alternatives(words).includes(value);
  const operand = words.slice(1).join(" ");
  if (operator === "<in>") return operand !== "" && value.includes(operand);
  if (NUMERIC.has(operator)) return compareNumbers(operator, value, operand);
  if (TEXTUAL.has(operator)) return compareStrings(operator, value, operand);
  return value === requirement;
}

function alternatives(words: readonly string[]): string[] {
  return words
    .join(" ")
    .split("<or>")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function compareNumbers(operator: string, value: string, operand: string): boolean {
  const left = value.trim() === "" ? Number.NaN : Number(value);
  const right = operand === "" ? Number.NaN : Number(operand);
  // Trap: NaN !== NaN would let a word pass `!=`; what is no number meets no numeric requirement.
  if (Number.isNaN(left) || Number.isNaN(right)) return false;
  switch (operator) {
    case "=":
    case ">=":
      return left >= right;
    case "<=":
      return left <= right;
    case "==":
      return left === right;
    default:
      return left !== right;
  }
}

function compareStrings(operator: string, value: string, operand: string): boolean {
  switch (operator) {
    case "s==":
      return value === operand;
    case "s!=":
      return value !== operand;
    case "s<":
      return value < operand;
    case "s<=":
      return value <= operand;
    case "s>":
      return value > operand;
    default:
      return value >= operand;
  }
}

/**
 * The first extra spec that `facts` does not meet, or undefined. Keys without a scope and `capabilities:` keys are looked
 * at; other scopes, such as `baremetal:`, are for others. A fact that is missing is not met.
 */
export function unmetSpec(
  extraSpecs: Readonly<Record<string, string>>,
  facts: Readonly<Record<string, unknown>>,
): string | undefined {
  for (const [key, requirement] of Object.entries(extraSpecs)) {
    const scopes = key.split(":");
    if (scopes.length > 1 && scopes[0] !== "capabilities") continue;
    const name = scopes.length > 1 ? scopes.slice(1).join(":") : key;
    const fact = Object.hasOwn(facts, name) ? facts[name] : undefined;
    if (fact === undefined || fact === null) return `${key} (the node has no ${name})`;
    if (!meetsRequirement(String(fact), requirement)) return `${key} ${requirement} (the node has ${String(fact)})`;
  }
  return undefined;
}
