// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ERC165Checker} from "@openzeppelin/contracts/utils/introspection/ERC165Checker.sol";

import {AddressAlias} from "./AddressAlias.sol";
import {CrossDomainMessenger} from "./CrossDomainMessenger.sol";
import {ILegacyMintableERC20, IOptimismMintableERC20} from "./IOptimismMintableERC20.sol";
import {SafeCall} from "./SafeCall.sol";

/// @title StandardBridge
/// @notice The half of the bridge that both layers share. A token native to a layer is locked in that layer's bridge
///         and a mintable token stands for it on the other side.
///         Invariant: for each pair, `deposits` is what the other side may mint, and this contract holds at least it.
abstract contract StandardBridge is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev Only an account with a key may use the functions without a recipient: a contract may have no counterpart
    ///      of the same owner on the other layer.
    error NotAnAccount(address caller);
    /// @dev Only the bridge of the other layer, through the messenger, may finalize.
    error NotFromOtherBridge(address caller);
    /// @dev The channel is paused.
    error BridgePaused();
    /// @dev The ETH sent with the call is not the amount bridged.
    error WrongValue(uint256 sent, uint256 expected);
    /// @dev The bridge and its messenger cannot receive.
    error InvalidRecipient(address to);
    /// @dev The recipient refused the ETH; the message may be replayed.
    error TransferFailed(address to, uint256 amount);
    /// @dev A mintable token stands for another remote token than the one named.
    error WrongRemoteToken(address localToken, address remoteToken);
    /// @dev The token took or gave another amount than asked: tokens with a transfer fee cannot be bridged.
    error InexactTransfer(address token, uint256 received, uint256 expected);
    /// @dev More would be released than was locked for this pair.
    error NotEnoughDeposits(address localToken, address remoteToken, uint256 locked, uint256 amount);

    /// @notice Gas for the other side when ETH is simply sent to the bridge.
    uint32 internal constant RECEIVE_DEFAULT_GAS_LIMIT = 200_000;

    /// @notice Amount of a local token locked for a remote one.
    mapping(address localToken => mapping(address remoteToken => uint256)) public deposits;
    /// @dev Room for later versions.
    uint256[49] private __gap;

    event ETHBridgeInitiated(address indexed from, address indexed to, uint256 amount, bytes extraData);
    event ETHBridgeFinalized(address indexed from, address indexed to, uint256 amount, bytes extraData);
    event ERC20BridgeInitiated(
        address indexed localToken,
        address indexed remoteToken,
        address indexed from,
        address to,
        uint256 amount,
        bytes extraData
    );
    event ERC20BridgeFinalized(
        address indexed localToken,
        address indexed remoteToken,
        address indexed from,
        address to,
        uint256 amount,
        bytes extraData
    );

    modifier onlyAccount() {
        if (!AddressAlias.callerHasKey()) revert NotAnAccount(msg.sender);
        _;
    }

    modifier onlyOtherBridge() {
        CrossDomainMessenger channel = messenger();
        if (msg.sender != address(channel) || channel.xDomainMessageSender() != otherBridge()) {
            revert NotFromOtherBridge(msg.sender);
        }
        if (paused()) revert BridgePaused();
        _;
    }

    /// @notice Sends ETH to the sender's own account on the other layer.
    receive() external payable virtual onlyAccount {
        _bridgeETH(msg.sender, msg.sender, msg.value, RECEIVE_DEFAULT_GAS_LIMIT, "");
    }

    /// @notice Sends ETH to the caller's own account on the other layer.
    function bridgeETH(uint32 minGasLimit, bytes calldata extraData) external payable onlyAccount {
        _bridgeETH(msg.sender, msg.sender, msg.value, minGasLimit, extraData);
    }

    /// @notice Sends ETH to `to` on the other layer.
    function bridgeETHTo(address to, uint32 minGasLimit, bytes calldata extraData) external payable {
        _bridgeETH(msg.sender, to, msg.value, minGasLimit, extraData);
    }

    /// @notice Sends tokens to the caller's own account on the other layer.
    function bridgeERC20(
        address localToken,
        address remoteToken,
        uint256 amount,
        uint32 minGasLimit,
        bytes calldata extraData
    ) external onlyAccount {
        _bridgeERC20(localToken, remoteToken, msg.sender, msg.sender, amount, minGasLimit, extraData);
    }

    /// @notice Sends tokens to `to` on the other layer.
    function bridgeERC20To(
        address localToken,
        address remoteToken,
        address to,
        uint256 amount,
        uint32 minGasLimit,
        bytes calldata extraData
    ) external {
        _bridgeERC20(localToken, remoteToken, msg.sender, to, amount, minGasLimit, extraData);
    }

    /// @notice Pays out ETH that was bridged on the other layer.
    function finalizeBridgeETH(address from, address to, uint256 amount, bytes calldata extraData)
        public
        payable
        onlyOtherBridge
    {
        if (msg.value != amount) revert WrongValue(msg.value, amount);
        if (to == address(this) || to == address(messenger())) revert InvalidRecipient(to);
        _afterETHFinalized(from, to, amount, extraData);
        emit ETHBridgeFinalized(from, to, amount, extraData);
        if (!SafeCall.callWithGas(to, gasleft(), amount, "")) revert TransferFailed(to, amount);
    }

    /// @notice Releases or mints tokens that were bridged on the other layer.
    function finalizeBridgeERC20(
        address localToken,
        address remoteToken,
        address from,
        address to,
        uint256 amount,
        bytes calldata extraData
    ) public onlyOtherBridge nonReentrant {
        if (_isMintable(localToken)) {
            _checkPair(localToken, remoteToken);
            IOptimismMintableERC20(localToken).mint(to, amount);
        } else {
            uint256 locked = deposits[localToken][remoteToken];
            if (locked < amount) revert NotEnoughDeposits(localToken, remoteToken, locked, amount);
            unchecked {
                deposits[localToken][remoteToken] = locked - amount;
            }
            IERC20(localToken).safeTransfer(to, amount);
        }
        _afterERC20Finalized(localToken, remoteToken, from, to, amount, extraData);
        emit ERC20BridgeFinalized(localToken, remoteToken, from, to, amount, extraData);
    }

    /// @notice The messenger this bridge speaks through.
    function messenger() public view virtual returns (CrossDomainMessenger);

    /// @notice The bridge on the other layer.
    function otherBridge() public view virtual returns (address);

    /// @notice True while nothing may be finalized here.
    function paused() public view virtual returns (bool);

    function _bridgeETH(address from, address to, uint256 amount, uint32 minGasLimit, bytes memory extraData)
        internal
    {
        _beforeETHInitiated(from, to, amount, extraData);
        emit ETHBridgeInitiated(from, to, amount, extraData);
        messenger().sendMessage{value: amount}(
            otherBridge(), abi.encodeCall(this.finalizeBridgeETH, (from, to, amount, extraData)), minGasLimit
        );
    }

    function _bridgeERC20(
        address localToken,
        address remoteToken,
        address from,
        address to,
        uint256 amount,
        uint32 minGasLimit,
        bytes memory extraData
    ) internal nonReentrant {
        if (_isMintable(localToken)) {
            _checkPair(localToken, remoteToken);
            IOptimismMintableERC20(localToken).burn(from, amount);
        } else {
            uint256 before = IERC20(localToken).balanceOf(address(this));
            IERC20(localToken).safeTransferFrom(from, address(this), amount);
            uint256 received = IERC20(localToken).balanceOf(address(this)) - before;
            if (received != amount) revert InexactTransfer(localToken, received, amount);
            deposits[localToken][remoteToken] += amount;
        }
        _beforeERC20Initiated(localToken, remoteToken, from, to, amount, extraData);
        emit ERC20BridgeInitiated(localToken, remoteToken, from, to, amount, extraData);
        // Seen from the other side, the tokens change places.
        messenger().sendMessage(
            otherBridge(),
            abi.encodeCall(this.finalizeBridgeERC20, (remoteToken, localToken, from, to, amount, extraData)),
            minGasLimit
        );
    }

    /// @dev Events of the first bridge, which explorers still read.
    function _beforeETHInitiated(address from, address to, uint256 amount, bytes memory extraData) internal virtual;

    function _afterETHFinalized(address from, address to, uint256 amount, bytes memory extraData) internal virtual;

    function _beforeERC20Initiated(
        address localToken,
        address remoteToken,
        address from,
        address to,
        uint256 amount,
        bytes memory extraData
    ) internal virtual;

    function _afterERC20Finalized(
        address localToken,
        address remoteToken,
        address from,
        address to,
        uint256 amount,
        bytes memory extraData
    ) internal virtual;

    function _isMintable(address token) private view returns (bool) {
        return ERC165Checker.supportsInterface(token, type(IOptimismMintableERC20).interfaceId)
            || ERC165Checker.supportsInterface(token, type(ILegacyMintableERC20).interfaceId);
    }

    function _checkPair(address localToken, address remoteToken) private {
        address stated = ERC165Checker.supportsInterface(localToken, type(IOptimismMintableERC20).interfaceId)
            ? IOptimismMintableERC20(localToken).remoteToken()
            : ILegacyMintableERC20(localToken).l1Token();
        if (stated != remoteToken) revert WrongRemoteToken(localToken, remoteToken);
    }
}
