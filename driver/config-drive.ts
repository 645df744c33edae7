// The content of a config drive (OpenStack's config-2 layout, as cloud-init reads it). The deploy helper makes the file system.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { InstanceRecord } from "../db/records.ts";

/** Path in the drive -> content. */
export type ConfigDriveFiles = ReadonlyMap<string, Buffer>;

/** What an instance is told about itself: hostname, keys, metadata, user data and injected files. */
export function configDriveFiles(instance: InstanceRecord): ConfigDriveFiles {
  const files = new Map<string, Buffer>();
  const contentPaths: { path: string; content_path: string }[] = [];
  for (const [index, file] of instance.personality.entries()) {
    const name = String(index).padStart(4, "0");
    files.set(`openstack/content/${name}`, Buffer.from(file.contents, "base64"));
    contentPaths.push({ path: file.path, content_path: `/content/${name}` });
  }
  const hasKey = instance.keyName !== null && instance.keyData !== null;
  const metadata = {
    uuid: instance.uuid,
    name: instance.displayName,
    hostname: instance.hostname,
    launch_index: 0,
    project_id: instance.projectId,
    availability_zone: instance.availabilityZone ?? "nova",
    meta: instance.metadata,
    ...(hasKey
      ? {
          public_keys: { [instance.keyName ?? ""]: instance.keyData },
          keys: [{ name: instance.keyName, type: "ssh", data: instance.keyData }],
        }
      : {}),
    ...(contentPaths.length > 0 ? { files: contentPaths } : {}),
  };
  files.set("openstack/latest/meta_data.json", Buffer.from(JSON.stringify(metadata)));
  if (instance.userData !== null) files.set("openstack/latest/user_data", Buffer.from(instance.userData, "base64"));
  return files;
}

/** Writes the files as one JSON object, path to base64, mode 0600: the deploy helper reads it. */
export async function writeConfigDrive(path: string, files: ConfigDriveFiles): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const content = Object.fromEntries([...files].map(([name, data]) => [name, data.toString("base64")]));
  await rm(path, { force: true });
  await writeFile(path, JSON.stringify(content), { mode: 0o600, flag: "wx" });
}
