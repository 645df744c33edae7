// All sections in one schema: the source of the types, the defaults, the documentation and the checks.
import { z } from "zod";
import { baremetalOptions } from "./baremetal-options.ts";
import { defaultOptions } from "./default-options.ts";
import { metaOf, type OptionMeta } from "./option.ts";
import { apiOptions, databaseOptions } from "./service-options.ts";

/** The sections that are ours, by their name in the typed object. */
export const configSchema = z.object({
  default: defaultOptions,
  baremetal: baremetalOptions,
  database: databaseOptions,
  api: apiOptions,
});

/** The values of all options. */
export type ConfigValues = z.output<typeof configSchema>;
export type SectionName = keyof ConfigValues;

/** One option, for the loader and the documentation. */
export interface OptionDescription {
  readonly section: SectionName;
  /** Its name in the typed object. */
  readonly field: string;
  /** Its name in the file. */
  readonly name: string;
  readonly schema: z.ZodType;
  readonly meta: OptionMeta;
}

/** A section's name as it stands in a file. */
export function headerOf(section: SectionName): string {
  return section === "default" ? "DEFAULT" : section;
}

function describeSection(section: SectionName): OptionDescription[] {
  return Object.entries(configSchema.shape[section].shape as Record<string, z.ZodType>).map(([field, schema]) => ({
    section,
    field,
    name: field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    schema,
    meta: metaOf(schema),
  }));
}

/** Every option, section by section. */
export const allOptions: readonly OptionDescription[] = (Object.keys(configSchema.shape) as SectionName[]).flatMap(
  describeSection,
);
