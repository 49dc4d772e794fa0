{{/* Prefix of all names: a release called f5-dssm needs none. */}}
{{- define "f5-dssm.fullname" -}}
{{- if gt (len .Release.Name) 34 -}}
{{- fail (printf "the release's name '%s' is longer than 34 characters: names of its objects would be too long" .Release.Name) -}}
{{- end -}}
{{- if eq .Release.Name .Chart.Name -}}
{{ .Chart.Name }}
{{- else -}}
{{ .Release.Name }}-{{ .Chart.Name }}
{{- end -}}
{{- end -}}

{{- define "f5-dssm.db" -}}{{ include "f5-dssm.fullname" . }}-db{{- end -}}
{{- define "f5-dssm.sentinel" -}}{{ include "f5-dssm.fullname" . }}-sentinel{{- end -}}
{{/* The headless Service that gives sentinel pods names of their own. */}}
{{- define "f5-dssm.sentinelPeers" -}}{{ include "f5-dssm.sentinel" . }}-peers{{- end -}}
{{- define "f5-dssm.dbDomain" -}}{{ include "f5-dssm.db" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}{{- end -}}
{{- define "f5-dssm.sentinelDomain" -}}{{ include "f5-dssm.sentinelPeers" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}{{- end -}}

{{- define "f5-dssm.tag" -}}{{ .Values.image.tag | default .Chart.AppVersion }}{{- end -}}
{{/* Image of a service: dict "root" $ "name" "dssm-db". */}}
{{- define "f5-dssm.image" -}}
{{ .root.Values.image.repository | trimSuffix "/" }}/{{ .name }}:{{ include "f5-dssm.tag" .root }}
{{- end -}}

{{/* Labels of an object: dict "root" $ "app" name "component" word. */}}
{{- define "f5-dssm.labels" -}}
app: {{ .app }}
app.kubernetes.io/name: f5-dssm
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ include "f5-dssm.tag" .root | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of pods: nothing that changes with each version of the chart. */}}
{{- define "f5-dssm.podLabels" -}}
app: {{ .app }}
app.kubernetes.io/name: f5-dssm
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "f5-dssm.annotations" -}}
{{- with .Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Service account of db or sentinel: dict "root" $ "app" name. */}}
{{- define "f5-dssm.serviceAccount" -}}
{{- $account := .root.Values.serviceAccount -}}
{{- if $account.name -}}{{ $account.name }}{{- else if $account.create -}}{{ .app }}{{- else -}}default{{- end -}}
{{- end -}}

{{/* restricted Pod Security; no fixed user, so that OpenShift's restricted-v2 can choose one. */}}
{{- define "f5-dssm.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- $group := .Values.podSecurityContext.fsGroup | toString }}
{{- if and (eq $group "auto") (not (.Capabilities.APIVersions.Has "security.openshift.io/v1")) }}
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
{{- else if not (has $group (list "auto" "none")) }}
fsGroup: {{ $group }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
{{- end -}}

{{- define "f5-dssm.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Anti-affinity of the pods of one StatefulSet: dict "app" name "values" .Values.db. */}}
{{- define "f5-dssm.affinity" -}}
{{- if eq .values.affinity_type "custom" }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- else }}
affinity:
  podAntiAffinity:
    {{- if eq .values.affinity_type "required" }}
    requiredDuringSchedulingIgnoredDuringExecution:
      - labelSelector:
          matchExpressions:
            - {key: app, operator: In, values: [{{ .app }}]}
        topologyKey: kubernetes.io/hostname
    {{- else }}
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          labelSelector:
            matchExpressions:
              - {key: app, operator: In, values: [{{ .app }}]}
          topologyKey: kubernetes.io/hostname
    {{- end }}
{{- end }}
{{- end -}}

{{- define "f5-dssm.podEnv" -}}
- name: POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
- name: NODE_NAME
  valueFrom:
    fieldRef: {fieldPath: spec.nodeName}
{{- end -}}

{{/* Bytes of a quantity of memory such as 256Mi. */}}
{{- define "f5-dssm.bytes" -}}
{{- $text := kindIs "float64" . | ternary (printf "%.0f" (. | float64)) (toString .) -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $number := regexFind "^[0-9]+([.][0-9]+)?" $text -}}
{{- $unit := trimPrefix $number $text -}}
{{- if or (not $number) (not (hasKey $units $unit)) -}}
{{- fail (printf "'%s' is no quantity of memory such as 256Mi" $text) -}}
{{- end -}}
{{- mulf (float64 $number) (get $units $unit) | int64 -}}
{{- end -}}

{{/* tls-* directives, the same for db and sentinel. */}}
{{- define "f5-dssm.tlsDirectives" -}}
tls-cert-file /etc/dssm/certs/{{ .Values.tls.certificateFile }}
tls-key-file /etc/dssm/keys/{{ .Values.tls.keyFile }}
tls-ca-cert-file /etc/dssm/certs/{{ .Values.tls.caFile }}
{{- with .Values.tls.dhParamsFile }}
tls-dh-params-file /etc/dssm/certs/{{ . }}
{{- end }}
tls-protocols {{ .Values.tls.protocols | quote }}
tls-auth-clients {{ .Values.tls.authClients }}
tls-replication yes
{{- end -}}

{{/* Directives of `config`: dict "config" map "taken" list of names that the chart sets. */}}
{{- define "f5-dssm.directives" -}}
{{- $taken := .taken -}}
{{- range $name, $value := .config }}
{{- if has ($name | lower) $taken }}
{{- fail (printf "config: '%s' is set by the chart itself" $name) }}
{{- end }}
{{- range (kindIs "slice" $value | ternary $value (list $value)) }}
{{- $text := kindIs "float64" . | ternary (printf "%.0f" (. | float64)) (toString .) }}
{{ $name }} {{ $text | eq "" | ternary "\"\"" $text }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "f5-dssm.tlsMounts" -}}
- name: certs
  mountPath: /etc/dssm/certs
  readOnly: true
- name: keys
  mountPath: /etc/dssm/keys
  readOnly: true
{{- end -}}

{{- define "f5-dssm.tlsVolumes" -}}
- name: certs
  secret:
    secretName: {{ .Values.tls.certsSecret }}
    defaultMode: 0440
- name: keys
  secret:
    secretName: {{ .Values.tls.keysSecret }}
    defaultMode: 0440
{{- end -}}

{{/* Probes over the health port: no certificate, no name can break them. dict "startupSeconds" n. */}}
{{- define "f5-dssm.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ max 5 (div (int .startupSeconds) 2) }}
livenessProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end -}}

{{- define "f5-dssm.hasSidecar" -}}
{{- if and .fluentbit_sidecar.enabled .fluentbit_sidecar.fluentd.host }}yes{{ end -}}
{{- end -}}

{{/* The log-forwarder container: dict "root" $ "values" .Values.db "app" name. */}}
{{- define "f5-dssm.sidecar" -}}
{{- $image := .values.fluentbit_sidecar.image -}}
- name: log-forwarder
  image: {{ $image.repository | trimSuffix "/" }}/dssm-log-forwarder:{{ $image.tag | default (include "f5-dssm.tag" .root) }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args: ["--config", "/etc/dssm/log-forwarder.yaml"]
  env:
    {{- include "f5-dssm.podEnv" .root | nindent 4 }}
    {{- with .root.Values.logForwarder.credentialsSecret }}
    - name: DSSM_FORWARD_SHARED_KEY
      valueFrom:
        secretKeyRef: {name: {{ . }}, key: shared-key, optional: true}
    - name: DSSM_FORWARD_PASSWORD
      valueFrom:
        secretKeyRef: {name: {{ . }}, key: password, optional: true}
    {{- end }}
  resources:
    {{- toYaml .root.Values.logForwarder.resources | nindent 4 }}
  securityContext:
    {{- include "f5-dssm.containerSecurity" .root | nindent 4 }}
  volumeMounts:
    - name: config
      mountPath: /etc/dssm/log-forwarder.yaml
      subPath: log-forwarder.yaml
      readOnly: true
    - name: logs
      mountPath: /var/log/dssm
      readOnly: true
    - name: log-buffer
      mountPath: /data
    {{- if .root.Values.logForwarder.tls }}
    {{- include "f5-dssm.tlsMounts" .root | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Its settings: dict "root" $ "values" .Values.db "tag" "dssm.db". */}}
{{- define "f5-dssm.sidecarConfig" -}}
state-directory: /data
inputs:
  # A file that is full is followed to its end under its next name.
  - files: [/var/log/dssm/*.log, /var/log/dssm/*.log.*]
    tag: {{ .tag }}
    labels:
      release: {{ .root.Release.Name }}
buffer:
  maximum-bytes: {{ int64 .root.Values.logForwarder.bufferBytes }}
forward:
  servers:
    - host: {{ .values.fluentbit_sidecar.fluentd.host | quote }}
      port: {{ .values.fluentbit_sidecar.fluentd.port }}
{{- if .root.Values.logForwarder.tls }}
  tls:
    ca-file: /etc/dssm/certs/{{ .root.Values.tls.caFile }}
    certificate-file: /etc/dssm/certs/{{ .root.Values.tls.certificateFile }}
    key-file: /etc/dssm/keys/{{ .root.Values.tls.keyFile }}
{{- end }}
{{- end -}}

{{/* policy/v1 and batch/v1 CronJobs came with 1.21. */}}
{{- define "f5-dssm.policyVersion" -}}
{{ semverCompare ">=1.21-0" .Capabilities.KubeVersion.Version | ternary "policy/v1" "policy/v1beta1" }}
{{- end -}}

{{/* What every pod template has: dict "root" $ "values" .Values.db "app" name. */}}
{{- define "f5-dssm.scheduling" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- /* A constraint that does not say which pods it counts means those of its own kind. */}}
{{- $own := dict "matchLabels" (dict "app" (.app | default "") "app.kubernetes.io/instance" .root.Release.Name) }}
{{- $constraints := list }}
{{- range .values.topologySpreadConstraints }}
{{- $constraints = append $constraints (merge (deepCopy .) (dict "labelSelector" $own)) }}
{{- end }}
{{- with $constraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}
