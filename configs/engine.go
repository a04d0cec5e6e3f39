package configs

// Engine says how a sweep's tasks are started beyond one machine. It decides no result, but for the number of CPU threads where a plan leaves that open.
type Engine struct {
	Slurm      Slurm      `toml:"slurm,omitempty"`
	Kubernetes Kubernetes `toml:"kubernetes,omitempty"`
}

// Slurm is what a task asks of a Slurm cluster. What is empty or 0 is left to the cluster.
type Slurm struct {
	Partition string `toml:"partition,omitempty" doc:"partition, as sinfo lists them"`
	Account   string `toml:"account,omitempty" doc:"account that is charged"`
	QOS       string `toml:"qos,omitempty" doc:"quality of service"`
	Time      string `toml:"time,omitempty" doc:"time limit of a task, as 2:00:00; 2 minutes before it a run saves itself and goes on in a further start"`
	Memory    string `toml:"memory,omitempty" doc:"memory of a task, as 8G"`
	CPUs      int    `toml:"cpus,omitzero" range:"[0,]" doc:"CPU cores of a task"`
	GPUs      int    `toml:"gpus,omitzero" range:"[0,]" doc:"GPUs of a task"`
	MaxTasks  int    `toml:"max_tasks,omitzero" range:"[0,]" doc:"tasks that run at the same time; 0: as many as the cluster has room for"`
	Retries   int    `toml:"retries,omitzero" range:"[0,]" doc:"how often a task starts again that failed or came to its time limit; a lost node does not ask"`
	Extra     string `toml:"extra,omitempty" doc:"further options of sbatch, a line each, as --constraint=a100"`
	Setup     string `toml:"setup,omitempty" doc:"shell lines that go before samtune, as module load cuda"`
}

// Kubernetes is what a task asks of a Kubernetes cluster.
type Kubernetes struct {
	Image       string `toml:"image,omitempty" doc:"container image that has samtune on its PATH"`
	Namespace   string `toml:"namespace,omitempty" doc:"namespace; empty: kubectl's"`
	Claim       string `toml:"claim,omitempty" doc:"PersistentVolumeClaim of the volume that all tasks share"`
	Mount       string `toml:"mount,omitempty" doc:"where that volume lies, here and in the containers alike: sweep, cache, weights and data are below it"`
	Memory      string `toml:"memory,omitempty" doc:"memory of a task, as 8Gi"`
	CPUs        int    `toml:"cpus,omitzero" range:"[0,]" doc:"CPU cores of a task"`
	GPUs        int    `toml:"gpus,omitzero" range:"[0,]" doc:"NVIDIA GPUs of a task"`
	Parallelism int    `toml:"parallelism,omitzero" range:"[0,]" doc:"tasks that run at the same time; 0: as many as the cluster has room for"`
	Retries     int    `toml:"retries,omitzero" range:"[0,]" doc:"how often a task starts again that failed; a lost node does not count"`
	Extra       string `toml:"extra,omitempty" doc:"further fields of the pod's spec in YAML, as nodeSelector and tolerations"`
}
