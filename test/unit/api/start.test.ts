import { expect } from 'chai';
import { createServer } from 'node:net';
import { openDatabase } from '../../../common/db/database.js';
import type { Db } from '../../../common/db/db.js';
import { createProject } from '../../../common/db/projects.js';
import { syncDatabase } from '../../../common/db/sync.js';
import { createUser } from '../../../common/db/users.js';
import type { DaemonParts } from '../../../common/daemon.js';
import { StartupError } from '../../../common/errors.js';
import type { FlagName } from '../../../common/flags/flags.js';
import { adminContext } from '../../../common/context.js';
import { createImageService } from '../../../common/images/client.js';
import { createRpc } from '../../../common/rpc/client.js';
import { InProcessBus } from '../../../common/rpc/inProcess.js';
import { startApi, type RunningApi } from '../../../nova-api/start.js';
import { signedV2 } from '../../support/ec2.js';
import { freePort } from '../../support/serverProcess.js';
import { testRuntime, type MemoryLog } from '../../support/runtime.js';

describe('nova-api', () => {
  const running: RunningApi[] = [];
  const databases: Db[] = [];

  async function parts(
    flags: Partial<Record<FlagName, unknown>> = {},
  ): Promise<{ parts: DaemonParts; log: MemoryLog }> {
    const local = { ec2_listen: '127.0.0.1', ec2_listen_port: 0, images_listen: '127.0.0.1', images_listen_port: 0 };
    const { runtime, log } = testRuntime({ sql_connection: 'sqlite://', ...local, ...flags }, { binary: 'nova-api' });
    const db = openDatabase(runtime);
    databases.push(db);
    await syncDatabase(db);
    const transport = new InProcessBus().transport(runtime);
    await transport.connect();
    return {
      log,
      parts: { runtime, db, transport, rpc: createRpc(runtime, transport), images: createImageService(runtime) },
    };
  }
  async function start(made: DaemonParts): Promise<RunningApi> {
    const api = await startApi(made);
    running.push(api);
    return api;
  }
  afterEach(async () => {
    for (const api of running.splice(0)) await api.stop();
    for (const db of databases.splice(0)) await db.close();
  });

  /** Asks EC2 for an action as a user of a project; answers status and body. */
  async function asker(
    made: DaemonParts,
    api: RunningApi,
  ): Promise<(action: string, secret?: string, params?: Record<string, string>) => Promise<string>> {
    await createUser(made.db, { id: 'demo', accessKey: 'dkey', secretKey: 'dsecret', isAdmin: false });
    await createProject(made.db, 'demo', 'demo');
    const host = `127.0.0.1:${api.addresses['ec2']!.port}`;
    return async (action, secret = 'dsecret', params = {}) => {
      const request = signedV2(action, params, { access: 'dkey:demo', secret, host, method: 'POST' });
      const body = request.body as Buffer;
      const response = await fetch(`http://${host}${request.url}`, {
        method: 'POST',
        body: new Uint8Array(body),
        headers: { 'content-type': request.headers['content-type']! },
      });
      return `${response.status} ${await response.text()}`;
    };
  }

  it('serves EC2 and the image registry on free ports, and says which', async () => {
    const { parts: made, log } = await parts({ enabled_apis: ['ec2', 'images', 'osapi'] });
    const api = await start(made);
    expect(api.addresses).to.have.all.keys('ec2', 'images');
    expect(api.addresses['ec2']!.port).to.be.above(0);
    expect(log.lines.filter((line) => line.startsWith('WARNING'))).to.have.length(1);
    expect(log.lines.join('\n')).to.match(/The API osapi of --enabled_apis does not exist yet/);

    const ask = await asker(made, api);
    expect(await ask('DescribeKeyPairs')).to.match(/^200 .*<keySet\/>/);
    expect(await ask('DescribeVpcs')).to.match(/^200 .*<vpcSet\/>/);
    expect(await ask('CreateVpc')).to.match(/^400 [^]*<Code>UnsupportedOperation<\/Code>/);
    expect(await ask('DescribeKeyPairs', 'wrong')).to.match(/^403 [^]*<Code>SignatureDoesNotMatch<\/Code>/);
    const images = await fetch(`http://127.0.0.1:${api.addresses['images']!.port}/v1/images`);
    expect(await images.json()).to.deep.equal({ images: [] });
  });

  it('asks for images of the registry which it serves without a socket', async () => {
    const port = await freePort();
    const flags = { enabled_apis: ['ec2', 'images'], images_listen_port: port };
    const { parts: made } = await parts({ ...flags, glance_api_servers: [`127.0.0.1:${port}`] });
    const heads: string[] = [];
    const ask = await asker(made, await start(made));
    const fields = { name: 'tiny', disk_format: 'ami', container_format: 'ami', is_public: true, properties: {} };
    await made.images.create(adminContext(made.runtime), fields);
    const { fetch: fetched } = made.runtime;
    Object.assign(made.runtime, {
      fetch: (url: string, init: RequestInit) => {
        if (init.method === 'HEAD') heads.push(url);
        return fetched(url, init);
      },
    });
    const attribute = { ImageId: 'ami-00000001', Attribute: 'launchPermission' };
    expect(await ask('DescribeImageAttribute', 'dsecret', attribute)).to.match(/^200 [^]*<launchPermission>/);
    expect(heads).to.deep.equal([]);
    expect((await made.images.show(adminContext(made.runtime), '1')).name).to.equal('tiny');
    expect(heads).to.deep.equal([`http://127.0.0.1:${port}/v1/images/1`]);
  });

  it('warns at each start that it runs without authentication', async () => {
    for (let i = 0; i < 2; i++) {
      const { parts: made, log } = await parts({ enabled_apis: ['ec2'], ec2_auth: 'noauth' });
      await start(made);
      expect(
        log.lines.filter((line) => /^WARNING .*without authentication \(said by --ec2_auth\)/.test(line)),
      ).to.have.length(1);
    }
  });

  it('refuses unknown APIs, senseless flags and taken ports, and leaves nothing listening', async () => {
    const refused = async (flags: Partial<Record<FlagName, unknown>>): Promise<string> => {
      const { parts: made } = await parts(flags);
      const error: unknown = await startApi(made).then(
        (api) => {
          running.push(api);
          return undefined;
        },
        (thrown: unknown) => thrown,
      );
      expect(error).to.be.instanceOf(StartupError);
      return (error as Error).message;
    };
    expect(await refused({ enabled_apis: ['ec2', 'ec3'] })).to.match(
      /--enabled_apis: ec3 is unknown; the APIs are ec2, images/,
    );
    expect(await refused({ enabled_apis: ['ec2'], ec2_error_codes: 'x' })).to.match(/--ec2_error_codes=x/);
    expect(await refused({ enabled_apis: ['ec2'], ec2_auth: 'x' })).to.match(/--ec2_auth=x/);
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    // The first API listens already when the second can't.
    const { parts: free } = await parts({ enabled_apis: ['ec2'] });
    const first = await start(free);
    const freed = first.addresses['ec2']!.port;
    await first.stop();
    expect(
      await refused({ enabled_apis: ['ec2', 'images'], ec2_listen_port: freed, images_listen_port: port }),
    ).to.match(/is in use .*--images_listen_port/);
    expect(
      await fetch(`http://127.0.0.1:${freed}/`).then(
        () => 'listening',
        () => 'refused',
      ),
    ).to.equal('refused');
    await new Promise((resolve) => taken.close(resolve));
  });
});
