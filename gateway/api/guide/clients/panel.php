<?php

class Panel
{
    private string $url = '{{ url }}';
    private string $key = 'YOUR_KEY';

    public function services(): array
    {
        return $this->ask('services');
    }

    /** The fields are those of the service's type: ['link' => …, 'quantity' => …]. */
    public function add(int $service, array $fields): array
    {
        return $this->ask('add', ['service' => $service] + $fields);
    }

    public function status(int $order): array
    {
        return $this->ask('status', ['order' => $order]);
    }

    /** By order number. */
    public function statuses(array $orders): array
    {
        return $this->ask('status', ['orders' => implode(',', $orders)]);
    }

    public function refill(int $order): array
    {
        return $this->ask('refill', ['order' => $order]);
    }

    public function refillStatus(int $refill): array
    {
        return $this->ask('refill_status', ['refill' => $refill]);
    }

    public function cancel(array $orders): array
    {
        return $this->ask('cancel', ['orders' => implode(',', $orders)]);
    }

    public function balance(): array
    {
        return $this->ask('balance');
    }

    private function ask(string $action, array $fields = []): array
    {
        $curl = curl_init($this->url);
        curl_setopt_array($curl, [
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => 30,
            CURLOPT_POST => true,
            CURLOPT_POSTFIELDS => http_build_query(['key' => $this->key, 'action' => $action] + $fields),
        ]);
        $body = curl_exec($curl);
        if ($body === false) {
            throw new RuntimeException(curl_error($curl));
        }
        $reply = json_decode($body, true);
        if (!is_array($reply)) {
            throw new RuntimeException('The reply is not JSON');
        }
        if (isset($reply['error'])) {
            throw new RuntimeException($reply['error']);
        }
        return $reply;
    }
}

$panel = new Panel();
echo json_encode($panel->balance()), "\n";
