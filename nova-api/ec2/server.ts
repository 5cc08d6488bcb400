import { Callers, splitAccessKey } from '../../common/auth/authenticate.js';
import type { Cloud } from '../../common/cloud/cloud.js';
import { Context, wireTime } from '../../common/context.js';
import type { Queryable } from '../../common/db/db.js';
import { AccessKeyNotFound, ProjectMembershipNotFound, ProjectNotFound, errorText } from '../../common/errors.js';
import { withLogContext, type Logger } from '../../common/log.js';
import type { Runtime } from '../../common/runtime/runtime.js';
import { isMetadataPath, MetadataDoor, versionList } from '../metadata/metadataDoor.js';
import type { DoorRequest, DoorResponse, HttpDoor } from '../../common/http/door.js';
import { decodedPath } from '../../common/http/target.js';
import { accessLine, auditedParams, isChanging, printable } from './accessLog.js';
import type { Ec2Action } from './action.js';
import { authorize } from './authorizer.js';
import { errorAnswer, errorDialect, type ErrorDialect } from './errors.js';
import { ClientAddresses } from './clientAddress.js';
import { ActionTable } from './index.js';
import { Lockout } from './lockout.js';
import { readParams } from './params.js';
import { RateLimit } from './rateLimit.js';
import type { AuthMode, PasteChoice } from './paste.js';
import { Refusal, authFailure, dryRun, missingParameter, wrongSignature } from './refusal.js';
import { readRequest, type Ec2Request } from './request.js';
import { readClaim, type Claim } from './signatures.js';
import { errorDocument, successDocument } from './xml.js';

export interface Ec2DoorParts {
  readonly runtime: Runtime;
  readonly db: Queryable;
  readonly cloud: Cloud;
  /** Actions of /services/Cloud. */
  readonly actions: ReadonlyMap<string, Ec2Action>;
  /** Actions of /services/Admin; none when absent. */
  readonly adminActions?: ReadonlyMap<string, Ec2Action>;
  readonly auth: PasteChoice;
}

/** An endpoint: where its requests go, and how their callers are known. */
interface Endpoint {
  /** As the access log names it. */
  readonly controller: 'CloudController' | 'AdminController';
  readonly auth: AuthMode;
  readonly actions: ActionTable;
  /** Where the paste file asks for it. */
  readonly lockout: Lockout | null;
}

/** The EC2 API (nova 2011.3, nova/api/ec2/__init__.py): from a request to the XML of its answer, without a socket. */
export class Ec2Door implements HttpDoor {
  readonly #runtime: Runtime;
  readonly #cloud: Cloud;
  readonly #callers: Callers;
  readonly #rates: RateLimit;
  readonly #metadata: MetadataDoor;
  readonly #clients: ClientAddresses;
  readonly #dialect: ErrorDialect;
  readonly #endpoints: Readonly<Record<'Cloud' | 'Admin', Endpoint>>;
  readonly #logger: Logger;
  readonly #accessLog: Logger;

  /** Throws StartupError for a flag's senseless value. */
  constructor(parts: Ec2DoorParts) {
    const { runtime, auth } = parts;
    this.#runtime = runtime;
    this.#cloud = parts.cloud;
    this.#clients = new ClientAddresses(runtime);
    this.#metadata = new MetadataDoor({ runtime, clients: this.#clients, metadata: parts.cloud.metadata });
    this.#callers = new Callers(parts.db, runtime.flags);
    this.#dialect = errorDialect(runtime.flags.ec2_error_codes);
    this.#rates = new RateLimit(runtime.clock, runtime.flags);
    const lockout = new Lockout(runtime.clock, runtime.flags);
    this.#endpoints = {
      Cloud: {
        controller: 'CloudController',
        auth: auth.cloud,
        actions: new ActionTable(parts.actions),
        lockout: auth.lockout?.cloud === true ? lockout : null,
      },
      Admin: {
        controller: 'AdminController',
        auth: auth.admin,
        actions: new ActionTable(parts.adminActions ?? new Map()),
        lockout: auth.lockout?.admin === true ? lockout : null,
      },
    };
    this.#logger = runtime.log.logger('nova.api.ec2');
    this.#accessLog = runtime.log.logger('nova.api');
  }

  async handle(request: DoorRequest): Promise<DoorResponse> {
    const path = plainPath(request.url);
    const endpoint = /^\/services\/(Cloud|Admin)(\/|$)/.exec(path)?.[1] as 'Cloud' | 'Admin' | undefined;
    if (endpoint !== undefined) return this.#serve(this.#endpoints[endpoint], request);
    if (isMetadataPath(path)) return this.#metadata.handle(request);
    return versionList;
  }

  close(): Promise<void> {
    return this.#cloud.bundles.stop();
  }

  refuse(status: number, reason: string): DoorResponse & { readonly body: string } {
    const code = status === 408 ? 'RequestTimeout' : status === 431 ? 'RequestHeaderSectionTooLarge' : 'BadRequest';
    const body = errorDocument(code, reason, this.#runtime.random.uuid());
    return { status, headers: { 'content-type': 'text/xml' }, body };
  }

  async #serve(endpoint: Endpoint, request: DoorRequest): Promise<DoorResponse> {
    const startedAt = this.#runtime.clock.now();
    const trace: Trace = { context: this.#anonymous(request), action: undefined };
    let response: DoorResponse;
    try {
      const read = await readRequest(request, this.#runtime.flags.ec2_max_body);
      const body = await this.#execute(endpoint, read, trace);
      response = { status: 200, headers: { 'content-type': 'text/xml' }, body };
    } catch (error) {
      response = withLogContext(trace.context, () => this.#failed(error, trace.context.requestId));
    }
    const seconds = (this.#runtime.clock.now() - startedAt) / 1000;
    const { context, action } = trace;
    withLogContext(context, () =>
      this.#accessLog.info(
        accessLine({ request, response, seconds, context, controller: endpoint.controller, action }),
      ),
    );
    return response;
  }

  /** Authenticates, finds the action, authorizes and runs it. Answers the document; throws whatever went wrong. */
  async #execute(endpoint: Endpoint, request: Ec2Request, trace: Trace): Promise<string> {
    trace.action = request.params.get('Action');
    const claim = readClaim(request, { strict: endpoint.auth === 'keys' });
    trace.context = await this.#authenticate(endpoint, claim, trace.context);
    const { context } = trace;
    this.#rates.take(context.userId ?? '');
    return withLogContext(context, async () => {
      this.#logger.audit(`Authenticated Request For ${printable(`${context.userId}:${context.projectId}`)}`);
      const name = required(request, 'Action');
      const version = required(request, 'Version');
      const action = this.#find(endpoint, name, context);
      try {
        authorize(action, context);
      } catch (error) {
        this.#logger.audit(`Unauthorized request for controller=${endpoint.controller} and action=${printable(name)}`);
        throw error;
      }
      const params = readParams(action.params, request.params);
      // 2011.3 would do the deed; whoever asks so doesn't want it done.
      if (request.params.get('DryRun')?.toLowerCase() === 'true') throw dryRun();
      if (isChanging(name)) this.#logger.audit(`${printable(name)}${auditedParams(request.params)}`);
      const result = await action.run(this.#cloud, context, params);
      return successDocument(name, version, context.requestId, result);
    });
  }

  #find(endpoint: Endpoint, name: string, context: Context): Ec2Action {
    const action = endpoint.actions.find(name);
    if (action !== undefined) return action;
    // The Admin endpoint is for administrators as a whole.
    if (endpoint.controller === 'AdminController') authorize({ roles: [] }, context);
    throw new Refusal(400, 'InvalidAction', `The action ${name.slice(0, 100)} is not valid for this web service.`);
  }

  async #authenticate(endpoint: Endpoint, claim: Claim, anonymous: Context): Promise<Context> {
    const { access, project } = splitAccessKey(claim.accessKey);
    endpoint.lockout?.check(access);
    if (endpoint.auth === 'noauth') {
      return new Context({ ...anonymous, userId: access, projectId: project ?? access, isAdmin: true });
    }
    try {
      this.#checkTime(claim);
      const caller = await this.#callers.find(claim.accessKey);
      // Whoever has no secret can't sign; an empty one would let everybody sign for him.
      if (caller.secretKey === '') throw wrongSignature();
      claim.verify(caller.secretKey);
      const { userId, projectId, isAdmin, roles } = caller;
      return new Context({ ...anonymous, userId, projectId, isAdmin, roles });
    } catch (error) {
      const isUnknown =
        error instanceof AccessKeyNotFound ||
        error instanceof ProjectNotFound ||
        error instanceof ProjectMembershipNotFound;
      if (isUnknown || (error instanceof Refusal && error.status === 403)) this.#countFailure(endpoint, access);
      if (isUnknown || error instanceof Refusal) {
        withLogContext(anonymous, () =>
          this.#logger.audit(
            `Failed authorization for access key ${printable(claim.accessKey)} from ${anonymous.remoteAddress ?? '-'}: ` +
              printable(errorText(error)),
          ),
        );
      }
      throw isUnknown ? authFailure() : error;
    }
  }

  #countFailure(endpoint: Endpoint, access: string): void {
    if (endpoint.lockout?.failed(access) !== true) return;
    const { lockout_attempts: attempts, lockout_minutes: minutes } = this.#runtime.flags;
    this.#logger.warn(
      `Access key ${printable(access)} has had ${attempts} failed authentications and will be locked out for ${minutes} minutes.`,
    );
  }

  /** The client's own end always counts; its time counts where the flag ec2_timestamp_window says so. Throws Refusal. */
  #checkTime(claim: Claim): void {
    const now = this.#runtime.clock.now();
    const windowMs = this.#runtime.flags.ec2_timestamp_window * 1000;
    const expired = (): Refusal =>
      new Refusal(400, 'RequestExpired', 'Request has expired, or the clock of client or server is wrong.');
    if (claim.expiresAt !== undefined && claim.expiresAt < now) throw expired();
    if (windowMs <= 0) return;
    const { signedAt, expiresAt } = claim;
    if (signedAt === undefined && expiresAt === undefined) throw expired();
    if (signedAt !== undefined && signedAt > now + windowMs) throw expired();
    if (signedAt !== undefined && signedAt < now - windowMs && expiresAt === undefined) throw expired();
  }

  #anonymous(request: DoorRequest): Context {
    return new Context({
      userId: null,
      projectId: null,
      isAdmin: false,
      readDeleted: false,
      roles: [],
      remoteAddress: this.#clients.of(request),
      timestamp: wireTime(this.#runtime.clock.now()),
      requestId: this.#runtime.random.uuid(),
      authToken: null,
      strategy: 'noauth',
    });
  }

  #failed(error: unknown, requestId: string): DoorResponse {
    const { status, code, message, unexpected, retryAfter = 5 } = errorAnswer(error, this.#dialect);
    if (unexpected) this.#logger.error(`Unexpected error raised: ${printable(errorText(error))}`, error);
    else if (status >= 500 && !(error instanceof Refusal))
      this.#logger.error(`${code} raised: ${printable(errorText(error))}`);
    else this.#logger.info(`${code} raised: ${printable(message)}`);
    const headers: Record<string, string> = { 'content-type': 'text/xml' };
    if (status === 503) headers['retry-after'] = String(retryAfter);
    return { status, headers, body: errorDocument(code, message, requestId) };
  }
}

/** What is known of a request by the time its access line is written. */
interface Trace {
  context: Context;
  action: string | undefined;
}

function required(request: Ec2Request, name: string): string {
  const value = request.params.get(name);
  if (value === undefined) throw missingParameter(name);
  return value;
}

/** The path as 2011.3's url map sees it: decoded, runs of `/` as one. */
const plainPath = (target: string): string => decodedPath(target).replace(/\/{2,}/g, '/');
