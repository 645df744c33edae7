// Numbers of the wire back to the names of a table.

/** The name of `number` in `table`; undefined if no name has it. */
export function nameOf<Name extends string>(table: Readonly<Record<Name, number>>, number: number): Name | undefined {
  for (const name in table) {
    if (table[name] === number) return name;
  }
  return undefined;
}
