import type { Context } from '../context.js';
import {
  createVolumeType,
  deleteVolumeTypeSpec,
  destroyVolumeType,
  getVolumeType,
  getVolumeTypeByName,
  listVolumeTypes,
  purgeVolumeType,
  setVolumeTypeSpecs,
  type VolumeType,
} from '../db/volumeTypes.js';
import { InvalidVolumeType, VolumeTypeExtraSpecsNotFound } from '../errors.js';
import type { CloudParts } from './parts.js';
import { requireAdmin } from './requireAdmin.js';

/** Columns are VARCHAR(255). */
const longestText = 255;
/** Extra specs of one type. */
const mostSpecs = 128;

/** Kinds of volumes: a name, and what it stands for (nova 2011.3, nova/volume/volume_types.py). Everybody reads them. */
export class VolumeTypes {
  constructor(private readonly parts: CloudParts) {}

  /** Those which new volumes can have, by id. */
  async list(): Promise<VolumeType[]> {
    return listVolumeTypes(this.parts.db);
  }

  /** Throws VolumeTypeNotFound. */
  async get(id: number): Promise<VolumeType> {
    return getVolumeType(this.parts.db, id);
  }

  /** Throws VolumeTypeNotFoundByName. */
  async getByName(name: string): Promise<VolumeType> {
    return getVolumeTypeByName(this.parts.db, name);
  }

  /** Throws AdminRequired, InvalidVolumeType, VolumeTypeExists. */
  async create(context: Context, name: string, extraSpecs: Readonly<Record<string, string>> = {}): Promise<VolumeType> {
    requireAdmin(context);
    if (!isText(name) || name.trim() === '') throw new InvalidVolumeType('its name must be 1 to 255 characters long');
    checkSpecs(extraSpecs);
    return createVolumeType(this.parts.db, name, extraSpecs);
  }

  /** New volumes can't have it any longer; with `purge` it is forgotten. Throws AdminRequired, VolumeTypeNotFoundByName. */
  async delete(context: Context, name: string, options: { purge?: boolean } = {}): Promise<void> {
    requireAdmin(context);
    await (options.purge ? purgeVolumeType(this.parts.db, name) : destroyVolumeType(this.parts.db, name));
  }

  /** Throws VolumeTypeNotFound, VolumeTypeExtraSpecsNotFound. */
  async extraSpec(id: number, key: string): Promise<string> {
    const { extra_specs: specs } = await this.get(id);
    const value = Object.hasOwn(specs, key) ? specs[key] : undefined;
    if (value === undefined) throw new VolumeTypeExtraSpecsNotFound(id, key);
    return value;
  }

  /** Adds and changes; the others stay. Throws AdminRequired, InvalidVolumeType, VolumeTypeNotFound. */
  async setExtraSpecs(context: Context, id: number, extraSpecs: Readonly<Record<string, string>>): Promise<void> {
    requireAdmin(context);
    checkSpecs(extraSpecs);
    const { extra_specs: there } = await this.get(id);
    checkSpecs({ ...there, ...extraSpecs });
    await setVolumeTypeSpecs(this.parts.db, id, extraSpecs);
  }

  /** Throws AdminRequired, VolumeTypeNotFound, VolumeTypeExtraSpecsNotFound. */
  async deleteExtraSpec(context: Context, id: number, key: string): Promise<void> {
    requireAdmin(context);
    if (!(await deleteVolumeTypeSpec(this.parts.db, id, key))) throw new VolumeTypeExtraSpecsNotFound(id, key);
  }
}

function isText(text: unknown): text is string {
  return typeof text === 'string' && text.length <= longestText && !text.includes('\0');
}

function checkSpecs(extraSpecs: Readonly<Record<string, string>>): void {
  const pairs = Object.entries(extraSpecs);
  if (pairs.length > mostSpecs) throw new InvalidVolumeType(`at most ${mostSpecs} extra specs are possible`);
  if (pairs.some(([key, value]) => !isText(key) || key === '' || !isText(value))) {
    throw new InvalidVolumeType('keys and values of extra specs must be texts of at most 255 characters');
  }
}
