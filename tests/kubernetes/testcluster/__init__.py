"""A real Kubernetes of one etcd, one control plane and three nodes, inside the namespaces of `tools/kubernetes run`.

Everything is the published programs: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, and for each node its own
network namespace with containerd, kubelet and kube-proxy. Pods are real containers. Two things are of this package's own, because
no such program can be had: the cluster's DNS names are written from Services and Endpoints into dnsmasq's file (names.py), and
volumes are folders prepared beforehand (storage.py).
"""
