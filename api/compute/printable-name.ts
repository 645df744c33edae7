// The schema of names that people give to servers and flavors.
import { z } from "zod";

/** 1 to 255 characters after trimming, no control characters. */
export const printableName = z
  .string()
  .transform((text) => text.trim())
  .pipe(
    z
      .string()
      .min(1)
      .max(255)
      .regex(/^[^\p{Cc}]+$/u, "must be printable text"),
  );
