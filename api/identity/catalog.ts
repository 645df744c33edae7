// The service catalogue, made from the address by which the client reached us (the lab proxies the port).
import { createHash } from "node:crypto";

interface CatalogService {
  readonly type: string;
  readonly name: string;
  readonly path: string;
}

const SERVICES: readonly CatalogService[] = [
  { type: "identity", name: "keystone", path: "/identity" },
  { type: "compute", name: "nova", path: "/compute/v2.1" },
  { type: "image", name: "glance", path: "/image" },
];

function idOf(...parts: string[]): string {
  return createHash("sha256").update(parts.join("/")).digest("hex").slice(0, 32);
}

/** `token.catalog` of identity v3. */
export function catalogV3(baseUrl: string, region: string): object[] {
  return SERVICES.map((service) => ({
    id: idOf("service", service.type),
    type: service.type,
    name: service.name,
    endpoints: ["public", "internal", "admin"].map((kind) => ({
      id: idOf("endpoint", service.type, kind),
      interface: kind,
      region,
      region_id: region,
      url: `${baseUrl}${service.path}`,
    })),
  }));
}

/** `access.serviceCatalog` of identity v2.0. */
export function catalogV2(baseUrl: string, region: string): object[] {
  return SERVICES.map((service) => {
    const url = `${baseUrl}${service.path}${service.type === "identity" ? "/v2.0" : ""}`;
    return {
      type: service.type,
      name: service.name,
      endpoints: [{ id: idOf("endpoint", service.type), region, publicURL: url, internalURL: url, adminURL: url }],
      endpoints_links: [],
    };
  });
}
