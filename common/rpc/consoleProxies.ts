import type { MethodTable } from './types.js';

/** Whoever shows a console through a browser learns the token which opens it. */
interface ConsoleGrant {
  token: string;
  host: string;
  port: number | string;
}

/** Topic `vncproxy`. Source: nova 2011.3, bin/nova-vncproxy. */
export interface VncProxyRpc {
  authorize_vnc_console(args: ConsoleGrant): Promise<null>;
}
export const vncProxyMethods: MethodTable<VncProxyRpc> = {
  authorize_vnc_console: { required: ['token', 'host', 'port'] },
};

/** Topic `ajax_proxy`. Source: nova 2011.3, bin/nova-ajax-console-proxy. */
export interface AjaxProxyRpc {
  authorize_ajax_console(args: ConsoleGrant): Promise<null>;
}
export const ajaxProxyMethods: MethodTable<AjaxProxyRpc> = {
  authorize_ajax_console: { required: ['token', 'host', 'port'] },
};
