import { isAbsolute, join, resolve } from 'node:path';
import { StartupError, errorText } from '../../common/errors.js';
import { flagDefinitions, type Flags } from '../../common/flags/flags.js';
import type { Files } from '../../common/runtime/runtime.js';

/** How EC2 knows its callers: signatures of access keys, or whatever the client claims to be. */
export type AuthMode = 'keys' | 'noauth';

/** What a filter of a paste pipeline does, for us. */
type FilterKind = AuthMode | 'authorizer' | 'lockout' | 'plain';

/** The filters of 2011.3 by factory (nova 2011.3, etc/nova/api-paste.ini). */
const factories: Readonly<Record<string, FilterKind>> = {
  'nova.api.ec2:NoAuth.factory': 'noauth',
  'nova.api.ec2:Authenticate.factory': 'keys',
  'nova.api.ec2:Authorizer.factory': 'authorizer',
  'nova.api.ec2:Lockout.factory': 'lockout',
  'nova.api.ec2:RequestLogging.factory': 'plain',
  'nova.api.ec2:Requestify.factory': 'plain',
};
/** The same by the names which they have in that file, for a pipeline whose filters have no sections. */
const filterNames: Readonly<Record<string, FilterKind>> = {
  ec2noauth: 'noauth',
  authenticate: 'keys',
  authorizer: 'authorizer',
  ec2lockout: 'lockout',
  logrequest: 'plain',
  cloudrequest: 'plain',
  adminrequest: 'plain',
};
const executor = 'nova.api.ec2:Executor.factory';

/** What the paste file and the flags say. */
export interface PasteChoice {
  readonly cloud: AuthMode;
  readonly admin: AuthMode;
  /** Which pipelines shut out access keys that fail too often; none when absent. */
  readonly lockout?: { readonly cloud: boolean; readonly admin: boolean };
  /** Where it was said, for the log: a file or a flag. */
  readonly saidBy: string;
  /** Sentences which the operator should read. */
  readonly warnings: readonly string[];
}

type Ini = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** Sections and options of an ini file as Python's ConfigParser reads it; option names in lower case. Throws StartupError. */
export function parseIni(text: string, file: string): Ini {
  const sections = new Map<string, Map<string, string>>();
  let options: Map<string, string> | undefined;
  let last: string | undefined;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || /^\s*[#;]/.test(line)) continue;
    const section = /^\[([^\]]+)\]/.exec(line);
    const option = /^([^=:\s][^=:]*?)\s*[=:]\s*(.*)$/.exec(line);
    if (section) {
      options = sections.get(section[1]!.trim()) ?? new Map<string, string>();
      sections.set(section[1]!.trim(), options);
      last = undefined;
    } else if (/^\s/.test(line) && options !== undefined && last !== undefined) {
      options.set(last, `${options.get(last)}\n${line.trim()}`);
    } else if (pathOption(line) && options !== undefined) {
      const [path, value] = pathOption(line)!;
      options.set(path, value);
      last = path;
    } else if (option && options !== undefined) {
      last = option[1]!.toLowerCase();
      options.set(last, option[2]!.trim());
    } else {
      throw new StartupError(`${file}, line ${index + 1}: neither a section nor an option`);
    }
  }
  return sections;
}

/** `/services/Cloud: ec2cloud` of a url map: the path keeps its case. */
function pathOption(line: string): [string, string] | undefined {
  const match = /^(\/[^\s:=]*)\s*[:=]\s*(.*)$/.exec(line);
  return match ? [match[1]!, match[2]!.trim()] : undefined;
}

/** The value of one option. */
function option(ini: Ini, section: string, name: string): string | undefined {
  return ini.get(section)?.get(name) ?? ini.get('DEFAULT')?.get(name);
}

/** The names of an EC2 pipeline, its application last. */
function pipeline(ini: Ini, path: string, fallback: string, file: string): string[] {
  const name = option(ini, 'composite:ec2', path) ?? fallback;
  const names = option(ini, `pipeline:${name}`, 'pipeline')?.split(/\s+/).filter(Boolean);
  if (names === undefined || names.length === 0) {
    throw new StartupError(`${file}: there is no [pipeline:${name}], which [composite:ec2] needs for ${path}`);
  }
  return names;
}

function kindOf(ini: Ini, name: string, file: string): FilterKind {
  const factory = option(ini, `filter:${name}`, 'paste.filter_factory');
  const kind = factory === undefined ? filterNames[name] : factories[factory];
  if (kind !== undefined) return kind;
  throw new StartupError(
    `${file}: the filter ${name}${factory === undefined ? '' : ` (${factory})`} is unknown, so its authentication can't be ` +
      `honoured; the filters which work are ${Object.keys(filterNames).join(', ')}`,
  );
}

/** What the filters of one pipeline do. Throws StartupError for what would leave the door open by mistake. */
function filtersOf(ini: Ini, path: string, fallback: string, file: string): { mode: AuthMode; lockout: boolean } {
  const names = pipeline(ini, path, fallback, file);
  const application = names.pop()!;
  const factory = option(ini, `app:${application}`, 'paste.app_factory');
  if ((factory ?? (application === 'ec2executor' ? executor : '')) !== executor) {
    throw new StartupError(`${file}: the pipeline for ${path} must end in ec2executor, not ${application}`);
  }
  const kinds = names.map((name) => kindOf(ini, name, file));
  const modes = kinds.filter((kind): kind is AuthMode => kind === 'keys' || kind === 'noauth');
  if (modes.length !== 1) {
    throw new StartupError(`${file}: the pipeline for ${path} must have one of authenticate and ec2noauth`);
  }
  if (!kinds.includes('authorizer')) throw new StartupError(`${file}: the pipeline for ${path} has no authorizer`);
  return { mode: modes[0]!, lockout: kinds.includes('lockout') };
}

/**
 * Finds the paste file: an absolute path as it is, another one where 2011.3 looks (nova 2011.3, nova/utils.py
 * find_config). Null when there is none. Throws StartupError when it can't be read.
 */
async function readPasteFile(files: Files, flags: Flags): Promise<{ path: string; text: string } | null> {
  const name = flags.api_paste_config;
  const places = isAbsolute(name)
    ? [name]
    : [
        resolve(name),
        join(flags.state_path, 'etc', 'nova', name),
        join(flags.state_path, 'etc', name),
        join(flags.state_path, name),
        join('/etc/nova', name),
      ];
  for (const path of places) {
    if (!(await files.exists(path))) continue;
    try {
      return { path, text: await files.read(path) };
    } catch (error) {
      throw new StartupError(`--api_paste_config: cannot read ${path}: ${errorText(error)}`);
    }
  }
  return null;
}

/** The choice in the text of a paste file. Throws StartupError. */
export function choiceOfPaste(text: string, file: string): PasteChoice {
  const ini = parseIni(text, file);
  const cloud = filtersOf(ini, '/services/Cloud', 'ec2cloud', file);
  const admin = filtersOf(ini, '/services/Admin', 'ec2admin', file);
  const lockout = { cloud: cloud.lockout, admin: admin.lockout };
  return { cloud: cloud.mode, admin: admin.mode, lockout, saidBy: file, warnings: [] };
}

/**
 * Which authentication EC2 has: what the flag ec2_auth says, else the pipelines of the paste file, else signatures. A
 * paste file which the operator named must exist; the default one may be missing. Throws StartupError.
 */
export async function chooseAuth(files: Files, flags: Flags): Promise<PasteChoice> {
  switch (flags.ec2_auth) {
    case 'keys':
    case 'noauth':
      return { cloud: flags.ec2_auth, admin: flags.ec2_auth, saidBy: '--ec2_auth', warnings: [] };
    case '':
      break;
    default:
      throw new StartupError(`--ec2_auth=${flags.ec2_auth}: the values are keys and noauth`);
  }
  const paste = await readPasteFile(files, flags);
  if (paste !== null) return choiceOfPaste(paste.text, paste.path);
  if (flags.api_paste_config !== flagDefinitions['api_paste_config']?.default) {
    throw new StartupError(`--api_paste_config=${flags.api_paste_config}: there is no such file`);
  }
  return { cloud: 'keys', admin: 'keys', saidBy: 'the default', warnings: [] };
}
