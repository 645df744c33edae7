// The options of [database] and [api]: the schema of the compute side, and the HTTP services that stand in for Nova's.
import { z } from "zod";
import { choice, integer, optionalText, port, text } from "./option.ts";

/** [database] */
export const databaseOptions = z.object({
  connection: text(
    "Database of instances, flavors, images and the like: sqlite:////absolute/file or mysql://user:password@host/database.",
    "sqlite:///$state_path/nova.sqlite",
    { secret: "url" },
  ),
  maxPoolSize: integer("Most connections that one service opens to one MySQL database.", 10, { min: 2, max: 1000 }),
});

/** [api] */
export const apiOptions = z.object({
  host: text(
    "Address that the API listens on. Loopback by default: there is no TLS here; put a proxy before it.",
    "127.0.0.1",
  ),
  port: port("Port of the API: compute, identity, image and baremetal on one.", 8774),
  publicUrl: optionalText(
    "Address of the API as its clients see it, for the catalogue. Unset: taken from each request.",
  ),
  authStrategy: choice(
    "keystone: users and tokens of our own; noauth: everybody is the administrator.",
    "keystone",
    ["keystone", "noauth"],
    {
      none: "noauth",
      noauth2: "noauth",
    },
  ),
  adminUser: text("Name of the administrator that always exists.", "admin"),
  adminPasswordFile: text(
    "File with the administrator's password; made with a random one at the first start.",
    "$state_path/admin-password",
  ),
  usersFile: optionalText("JSON file of further users, with their projects and password hashes."),
  tokenLifetime: integer("Seconds that a token is valid.", 3600, { min: 60 }),
  regionName: text("Region in the catalogue.", "RegionOne"),
  imageStorePath: text("Folder of the embedded image store.", "$state_path/images"),
  maxImageSizeGb: integer("Largest image that may be uploaded, in GiB.", 64, { min: 1 }),
});
