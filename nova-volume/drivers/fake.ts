import { join } from 'node:path';
import type { SnapshotRow, VolumeRow } from '../../common/db/rows.js';
import { NovaError, StartupError, VolumeIsBusy, errorText } from '../../common/errors.js';
import type { Runtime } from '../../common/runtime/runtime.js';
import { localVolumePath, snapshotName, volumeName } from '../../common/volumes/names.js';
import type { VolumeDriver, VolumeUpdate } from './driver.js';

/** What the file of a volume holds. */
interface FakeVolume {
  id: number;
  /** GB */
  size: number;
  /** Where its content came from. */
  snapshotId: number | null;
  /** The target under which initiators reach it; null when it isn't exported. */
  target: number | null;
}
/** What the file of a snapshot holds. */
interface FakeSnapshot {
  id: number;
  volumeId: number;
}

/** Operations which the flag fake_volume_fail can name. */
type Operation = 'create' | 'delete' | 'export' | 'snapshot';

/**
 * Volumes which are only remembered: one JSON file each under `$state_path/fake-volumes/<host>`, so that they outlive
 * the daemon as logical volumes would (nova 2011.3, nova/volume/driver.py FakeISCSIDriver, remembers nothing). The
 * operations named by the flag fake_volume_fail fail.
 */
export class FakeVolumeDriver implements VolumeDriver {
  readonly #folder: string;
  readonly #fails: ReadonlySet<string>;

  constructor(private readonly runtime: Runtime) {
    const { flags, host } = runtime;
    this.#folder = join(flags.state_path, 'fake-volumes', host);
    this.#fails = new Set(flags.fake_volume_fail);
  }

  async checkForSetupError(): Promise<void> {
    const { files } = this.runtime;
    try {
      await files.makeFolder(this.#folder);
      // a disk which is full or read-only is told of now, not at the first volume
      const check = join(this.#folder, 'check.tmp');
      await files.writeAtomic(check, 'The folder can be written.\n');
      // with what a predecessor, killed while it wrote, left half-written
      for (const name of await files.list(this.#folder)) {
        if (name.endsWith('.tmp')) await files.remove(join(this.#folder, name));
      }
    } catch (error) {
      throw new StartupError(`The fake volumes cannot use ${this.#folder} (--state_path): ${errorText(error)}`);
    }
  }

  async createVolume(volume: VolumeRow): Promise<VolumeUpdate> {
    this.#mayFail('create');
    await this.#makeVolume(volume, null);
    return {};
  }

  async createVolumeFromSnapshot(volume: VolumeRow, snapshot: SnapshotRow): Promise<VolumeUpdate> {
    this.#mayFail('create');
    if ((await this.#read<FakeSnapshot>(this.#snapshotFile(snapshot.id))) === null) {
      throw new NovaError(`There is no ${snapshotName(this.runtime.flags, snapshot.id)} on ${this.runtime.host}`);
    }
    await this.#makeVolume(volume, snapshot.id);
    return {};
  }

  async deleteVolume(volume: VolumeRow): Promise<void> {
    this.#mayFail('delete');
    if (await this.#hasSnapshot(volume.id)) throw new VolumeIsBusy(volumeName(this.runtime.flags, volume.id));
    await this.runtime.files.remove(this.#volumeFile(volume.id));
  }

  async createSnapshot(snapshot: SnapshotRow): Promise<void> {
    this.#mayFail('snapshot');
    await this.#volume(snapshot.volume_id);
    await this.#write(this.#snapshotFile(snapshot.id), { id: snapshot.id, volumeId: snapshot.volume_id });
  }

  async deleteSnapshot(snapshot: SnapshotRow): Promise<void> {
    this.#mayFail('delete');
    await this.runtime.files.remove(this.#snapshotFile(snapshot.id));
  }

  async createExport(volume: VolumeRow, targetNumber: number): Promise<VolumeUpdate> {
    this.#mayFail('export');
    await this.#setTarget(await this.#volume(volume.id), targetNumber);
    return {};
  }

  /** A volume without a file was made by 2011.3's driver, which remembers nothing: it is remembered from now on. */
  async ensureExport(volume: VolumeRow, targetNumber: number): Promise<void> {
    this.#mayFail('export');
    const file = await this.#read<FakeVolume>(this.#volumeFile(volume.id));
    if (file === null) await this.#makeVolume(volume, null);
    if (file?.target !== targetNumber) await this.#setTarget(await this.#volume(volume.id), targetNumber);
  }

  async removeExport(volume: VolumeRow): Promise<void> {
    const file = await this.#read<FakeVolume>(this.#volumeFile(volume.id));
    if (file !== null && file.target !== null) await this.#setTarget(file, null);
  }

  async checkForExport(volume: VolumeRow, targetNumber: number): Promise<void> {
    if ((await this.#volume(volume.id)).target !== targetNumber) {
      throw new NovaError(`${volumeName(this.runtime.flags, volume.id)} is not exported as target ${targetNumber}`);
    }
  }

  localPath(volume: VolumeRow): string {
    return localVolumePath(this.runtime.flags, volume);
  }

  async stats(): Promise<null> {
    return null;
  }

  async #makeVolume(volume: VolumeRow, snapshotId: number | null): Promise<void> {
    const file: FakeVolume = { id: volume.id, size: volume.size ?? 0, snapshotId, target: null };
    await this.#write(this.#volumeFile(volume.id), file);
  }

  async #volume(id: number): Promise<FakeVolume> {
    const volume = await this.#read<FakeVolume>(this.#volumeFile(id));
    if (volume === null)
      throw new NovaError(`There is no ${volumeName(this.runtime.flags, id)} on ${this.runtime.host}`);
    return volume;
  }

  async #setTarget(volume: FakeVolume, target: number | null): Promise<void> {
    await this.#write(this.#volumeFile(volume.id), { ...volume, target });
  }

  async #hasSnapshot(volumeId: number): Promise<boolean> {
    const { files } = this.runtime;
    for (const name of await files.list(this.#folder)) {
      if (!name.endsWith('.snapshot.json')) continue;
      const snapshot = await this.#read<FakeSnapshot>(join(this.#folder, name));
      if (snapshot?.volumeId === volumeId) return true;
    }
    return false;
  }

  async #read<T>(path: string): Promise<T | null> {
    if (!(await this.runtime.files.exists(path))) return null;
    return JSON.parse(await this.runtime.files.read(path)) as T;
  }

  async #write(path: string, content: FakeVolume | FakeSnapshot): Promise<void> {
    await this.runtime.files.writeAtomic(path, `${JSON.stringify(content)}\n`);
  }

  #volumeFile(id: number): string {
    return join(this.#folder, `${volumeName(this.runtime.flags, id)}.volume.json`);
  }

  #snapshotFile(id: number): string {
    return join(this.#folder, `${snapshotName(this.runtime.flags, id)}.snapshot.json`);
  }

  #mayFail(operation: Operation): void {
    if (this.#fails.has(operation)) throw new NovaError(`The fake volume driver was told to fail: ${operation}`);
  }
}
